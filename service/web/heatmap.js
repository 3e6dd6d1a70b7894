// Draw a heat map over its frame, with the position and colors of the service's overlay (service/imaging/overlay.py).

// Matplotlib's inferno, 18 colors: lightness grows evenly with the heat, also for color-blind readers and in gray.
const COLORS = [
  [0, 0, 4], [10, 7, 34], [30, 12, 69], [56, 9, 98], [81, 14, 108], [105, 22, 110], [128, 31, 108], [152, 39, 102],
  [176, 49, 91], [198, 61, 77], [217, 77, 61], [233, 97, 43], [244, 121, 24], [250, 148, 7], [252, 176, 20],
  [248, 205, 55], [242, 234, 105], [252, 255, 164],
];

// Return the color of a heat 0..1 as [red, green, blue].
export function color(heat) {
  const position = heat * (COLORS.length - 1);
  const low = Math.min(Math.floor(position), COLORS.length - 2);
  return COLORS[low].map((value, channel) => value + (position - low) * (COLORS[low + 1][channel] - value));
}

// Round half to even, like Python, so that the box equals the service's.
function roundHalfEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// Return the box of a crop of `width` x `height` in the model's input, a square of side `size`.
export function letterboxBox(width, height, size) {
  const scale = size / Math.max(width, height);
  const [w, h] = [Math.max(1, roundHalfEven(width * scale)), Math.max(1, roundHalfEven(height * scale))];
  return { left: Math.floor((size - w) / 2), top: Math.floor((size - h) / 2), width: w, height: h };
}

// Along one side: for each of `points` pixels of the crop, the four nearest cells of the map and their weights.
function bicubicTaps(points, cells, start, length, size) {
  return Array.from({ length: points }, (_, point) => {
    const position = ((start + ((point + 0.5) / points) * length) / size) * cells - 0.5;
    const first = Math.floor(position);
    const fraction = position - first;
    const within = (cell) => Math.min(cells - 1, Math.max(0, cell));
    return [-1, 0, 1, 2].map((step) => [within(first + step), cubic(Math.abs(fraction - step))]);
  });
}

// Return the weight of a cell at a distance: the kernel of OpenCV's INTER_CUBIC, a = -0.75.
function cubic(distance) {
  const a = -0.75;
  if (distance <= 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? ((distance - 5) * distance + 8) * distance * a - 4 * a : 0;
}

// Upsample the heat map [h][w] of the model's input to the crop: Float32Array of `width` x `height`, 0..1.
// `crop` is [left, top, right, bottom] in pixels of the frame.
export function upsampleHeatmap(heatmap, crop, size, width, height) {
  const box = letterboxBox(crop[2] - crop[0], crop[3] - crop[1], size);
  const across = bicubicTaps(width, heatmap[0].length, box.left, box.width, size);
  const down = bicubicTaps(height, heatmap.length, box.top, box.height, size);
  const rows = heatmap.map((row) => across.map((four) => four.reduce((sum, [cell, w]) => sum + w * row[cell], 0)));
  const upsampled = new Float32Array(width * height);
  down.forEach((four, y) => {
    const [a, b, c, d] = four.map(([cell]) => rows[cell]);
    const [wa, wb, wc, wd] = four.map(([, weight]) => weight);
    for (let x = 0; x < width; x += 1) {
      const sum = wa * a[x] + wb * b[x] + wc * c[x] + wd * d[x];
      upsampled[y * width + x] = Math.min(1, Math.max(0, sum));
    }
  });
  return upsampled;
}

// Return a canvas of `width` x `height` with the heat's color; opacity equals the heat.
export function heatmapLayer(heatmap, crop, size, width, height) {
  const heat = upsampleHeatmap(heatmap, crop, size, width, height);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const table = new Uint8ClampedArray(Array.from({ length: 256 }, (_, level) => [...color(level / 255), level]).flat());
  // One 32-bit write per pixel in place of four.
  const [colors, target] = [new Uint32Array(table.buffer), new Uint32Array(pixels.data.buffer)];
  heat.forEach((value, index) => {
    target[index] = colors[Math.round(value * 255)];
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Return the region of the strongest evidence in words, relative to the crop: "upper left", "center".
export function peakRegion(heatmap, crop, size) {
  const cells = heatmap.flatMap((row, y) => row.map((heat, x) => ({ heat, x, y })));
  const strongest = cells.reduce((best, cell) => (cell.heat > best.heat ? cell : best));
  const box = letterboxBox(crop[2] - crop[0], crop[3] - crop[1], size);
  const third = (cell, count, start, length) => Math.floor(3 * (((cell + 0.5) / count) * size - start) / length);
  const x = Math.min(2, Math.max(0, third(strongest.x, heatmap[0].length, box.left, box.width)));
  const y = Math.min(2, Math.max(0, third(strongest.y, heatmap.length, box.top, box.height)));
  const words = [["upper", "", "lower"][y], ["left", "", "right"][x]].filter(Boolean);
  return words.join(" ") || "center";
}

// Paint the color scale, from no heat to the strongest.
export function drawLegend(element) {
  const stops = COLORS.map((rgb, step) => {
    const share = step / (COLORS.length - 1);
    return `rgb(${rgb.join(" ")} / ${(share * 100).toFixed(0)}%) ${(share * 100).toFixed(1)}%`;
  });
  element.style.backgroundImage = `linear-gradient(to right, ${stops.join(", ")}), linear-gradient(#777, #777)`;
}
