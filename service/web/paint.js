// Paint a frame onto a canvas, with its heat map and the outline of the model's input region.

// `picture` is {bitmap, frame, heat, strength}: heat and frame may be null. `look` is {opacity 0..1, outline, side}: frames
// with a longer side than `side` pixels are scaled down.
export function paint(canvas, { bitmap, frame, heat, strength }, { opacity, outline, side }) {
  const context = canvas.getContext("2d");
  if (!bitmap) return context.clearRect(0, 0, canvas.width, canvas.height);
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.clearRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  if (heat && frame) {
    const [left, top, right, bottom] = frame.crop.map((at) => at * scale);
    context.globalAlpha = strength * opacity;
    context.drawImage(heat, left, top, right - left, bottom - top);
    context.globalAlpha = 1;
  }
  if (frame && outline) drawOutline(context, frame.crop, scale);
}

function drawOutline(context, crop, scale) {
  const [left, top, right, bottom] = crop.map((side) => side * scale);
  const unit = Math.max(1, context.canvas.width / 500);
  for (const [color, dash] of [["#000", []], ["#fff", [6 * unit, 4 * unit]]]) {
    context.setLineDash(dash);
    context.strokeStyle = color;
    context.lineWidth = unit * (dash.length ? 1.5 : 3);
    context.strokeRect(left + unit, top + unit, right - left - 2 * unit, bottom - top - 2 * unit);
  }
}
