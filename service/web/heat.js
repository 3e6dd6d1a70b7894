// A heat map laid over its frame, in the same place and colors as the service's own overlay.

// Inferno in 17 steps: its lightness grows evenly with the heat, also for color-blind eyes and in a gray print.
const COLORS = [
  [0, 0, 4], [10, 7, 34], [30, 12, 69], [56, 9, 98], [81, 14, 108], [105, 22, 110], [128, 31, 108], [152, 39, 102],
  [176, 49, 91], [198, 61, 77], [217, 77, 61], [233, 97, 43], [244, 121, 24], [250, 148, 7], [252, 176, 20],
  [248, 205, 55], [242, 234, 105], [252, 255, 164],
];

// The color of a heat 0..1 as [red, green, blue].
export function color(heat) {
  const place = heat * (COLORS.length - 1);
  const low = Math.min(Math.floor(place), COLORS.length - 2);
  return COLORS[low].map((value, channel) => value + (place - low) * (COLORS[low + 1][channel] - value));
}

// As Python rounds: a half goes to the even neighbor.
function round(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// Where a picture of `width` x `height` lies in the square of side `size` that the model saw.
export function placement(width, height, size) {
  const scale = size / Math.max(width, height);
  const [w, h] = [Math.max(1, round(width * scale)), Math.max(1, round(height * scale))];
  return { left: Math.floor((size - w) / 2), top: Math.floor((size - h) / 2), width: w, height: h };
}

// Along one side: for each of `points` places on the crop, the four cells that it lies among, and their weights.
function taps(points, cells, start, length, size) {
  return Array.from({ length: points }, (_, point) => {
    const place = ((start + ((point + 0.5) / points) * length) / size) * cells - 0.5;
    const first = Math.floor(place);
    const part = place - first;
    const within = (cell) => Math.min(cells - 1, Math.max(0, cell));
    return [-1, 0, 1, 2].map((step) => [within(first + step), cubic(Math.abs(part - step))]);
  });
}

// The weight of a cell at a distance, as OpenCV's bicubic has it.
function cubic(distance) {
  const a = -0.75;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? ((distance - 5) * distance + 8) * distance * a - 4 * a : 0;
}

// The heat map [h][w] of the model's square on the crop's own pixels, as Float32Array of `width` x `height`, 0..1.
// `crop` is [left, top, right, bottom] in pixels of the frame.
export function spread(heatmap, crop, size, width, height) {
  const box = placement(crop[2] - crop[0], crop[3] - crop[1], size);
  const across = taps(width, heatmap[0].length, box.left, box.width, size);
  const down = taps(height, heatmap.length, box.top, box.height, size);
  const rows = heatmap.map((row) => across.map((four) => four.reduce((sum, [cell, w]) => sum + w * row[cell], 0)));
  const grown = new Float32Array(width * height);
  down.forEach((four, y) => {
    const [a, b, c, d] = four.map(([cell]) => rows[cell]);
    const [wa, wb, wc, wd] = four.map(([, weight]) => weight);
    for (let x = 0; x < width; x += 1) {
      const sum = wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x];
      grown[y * width + x] = Math.min(1, Math.max(0, sum));
    }
  });
  return grown;
}

// A canvas of `width` x `height`: the heat's color, as opaque as the heat is strong.
export function layer(heatmap, crop, size, width, height) {
  const heat = spread(heatmap, crop, size, width, height);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const table = new Uint8ClampedArray(Array.from({ length: 256 }, (_, level) => [...color(level / 255), level]).flat());
  const [colors, words] = [new Uint32Array(table.buffer), new Uint32Array(pixels.data.buffer)]; // a pixel at a time
  heat.forEach((value, place) => {
    words[place] = colors[Math.round(value * 255)];
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Where the evidence is strongest, in words: "upper left", "center"; relative to the crop.
export function peak(heatmap, crop, size) {
  const cells = heatmap.flatMap((row, y) => row.map((heat, x) => ({ heat, x, y })));
  const strongest = cells.reduce((best, cell) => (cell.heat > best.heat ? cell : best));
  const box = placement(crop[2] - crop[0], crop[3] - crop[1], size);
  const third = (cell, count, start, length) => Math.floor(3 * (((cell + 0.5) / count) * size - start) / length);
  const x = Math.min(2, Math.max(0, third(strongest.x, heatmap[0].length, box.left, box.width)));
  const y = Math.min(2, Math.max(0, third(strongest.y, heatmap.length, box.top, box.height)));
  const words = [["upper", "", "lower"][y], ["left", "", "right"][x]].filter(Boolean);
  return words.join(" ") || "center";
}

// Paint a bar of the colors, from no heat to the most.
export function drawLegend(element) {
  const stops = COLORS.map((rgb, step) => {
    const share = step / (COLORS.length - 1);
    return `rgb(${rgb.join(" ")} / ${(share * 100).toFixed(0)}%) ${(share * 100).toFixed(1)}%`;
  });
  element.style.backgroundImage = `linear-gradient(to right, ${stops.join(", ")}), linear-gradient(#777, #777)`;
}
