// What is painted over the live picture: the crop, and the heat map of a frozen frame.

import { byId } from "./dom.js";
import { heatmapLayer } from "./heatmap.js";

const HEAT = 0.6; // opacity of the heat map

export class LivePicture {
  #heat = null; // {layer, within, sent, shown}: where it lies in what was sent, and the crop that it belongs to

  constructor(video, crop) {
    Object.assign(this, { video, crop });
  }

  // Show the evidence for a frame: `sent` is the part of the picture that was explained, `shown` the crop. Null for none.
  explain(explained, size, sent, shown) {
    if (!explained) {
      this.#heat = null;
      return;
    }
    const { explanation: { heatmap }, frame: { crop, width, height } } = explained;
    const [left, top, right, bottom] = crop;
    const layer = heatmapLayer(heatmap, crop, size, right - left, bottom - top);
    this.#heat = { layer, within: [left / width, top / height, right / width, bottom / height], sent, shown };
  }

  draw(running) {
    const canvas = byId("live-overlay");
    const [width, height] = [this.video.clientWidth, this.video.clientHeight];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (!running || !width) return;
    const [left, top, right, bottom] = this.crop.box.map((edge, side) => edge * (side % 2 ? height : width));
    if (this.#heat?.shown === this.crop.box) {
      const [x, y, x2, y2] = this.#heat.within;
      const [from, down, to, end] = this.#heat.sent.map((edge, side) => edge * (side % 2 ? height : width));
      const [wide, tall] = [to - from, end - down];
      context.globalAlpha = HEAT;
      context.drawImage(this.#heat.layer, from + x * wide, down + y * tall, (x2 - x) * wide, (y2 - y) * tall);
      context.globalAlpha = 1;
    }
    for (const [color, dash] of [["#000", []], ["#fff", [8, 6]]]) {
      Object.assign(context, { strokeStyle: color, lineWidth: dash.length ? 1.5 : 3 });
      context.setLineDash(dash);
      context.strokeRect(left + 1, top + 1, right - left - 2, bottom - top - 2);
    }
  }
}
