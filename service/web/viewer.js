// The chosen frame at full size, with the heat map over it.

import { byId, oncePerFrame, setText } from "./dom.js";
import { drawLegend, heatmapLayer, peakRegion } from "./heatmap.js";
import { createCineControls } from "./cine.js";
import { isWeak, plural } from "./text.js";

const MAX_SIDE = 1600; // pixels of the canvas; larger frames are scaled down
const MAX_HEATMAP_SIDE = 800; // pixels of the heat map; the canvas interpolates the rest

export class Viewer {
  #canvas = byId("picture");
  #bitmap = null;
  #frame = null;
  #shown = []; // item, index and result
  #heat = null;
  #strength = 1; // of the heat map's peak, next to that of the most probable plane
  #redraw = oncePerFrame(() => this.#draw());

  constructor(session, queue, pictures) {
    Object.assign(this, { session, queue, pictures, model: null });
    this.cine = createCineControls(session, queue, byId("cine"));
    drawLegend(byId("legend"));
    byId("opacity").addEventListener("input", () => {
      setText(byId("opacity-value"), `${byId("opacity").value} %`);
      this.#redraw();
    });
    byId("outline").addEventListener("change", this.#redraw);
    byId("remove").addEventListener("click", () => session.remove([session.chosen]));
  }

  // Show a frame, without a heat map until `showEvidence`.
  async show(item) {
    const index = item.shown;
    const result = item.result;
    setText(byId("viewer-title"), item.name);
    byId("viewer-title").title = item.name;
    this.#frame = result?.answer?.frame ?? null;
    setText(byId("viewer-size"), this.#frame ? describe(this.#frame) : "");
    byId("controls").hidden = !this.#frame;
    this.cine(item, this.model);
    const [wasItem, wasIndex, wasReading] = this.#shown;
    if (wasItem !== item || wasIndex !== index) this.#canvas.classList.add("stale");
    if (wasReading !== result) this.#heat = null;
    this.#shown = [item, index, result];
    const bitmap = await this.pictures.picture(item, index);
    // The user may have chosen another frame in the meantime.
    if (this.session.chosen !== item || item.shown !== index) return;
    this.#bitmap = bitmap;
    const none = !bitmap && (result?.state === "answered" || result?.state === "refused");
    byId("no-picture").hidden = !none;
    this.#canvas.hidden = none;
    this.#canvas.classList.toggle("stale", !bitmap && !none);
    if (!this.#heat) this.#label(item);
    this.#redraw();
  }

  // Draw the heat map of one plane over the frame, faded by its `strength` 0..1; null removes it.
  showEvidence(item, explanation, label, strength = 1) {
    this.#heat = null;
    this.#strength = strength;
    if (explanation && !explanation.empty) {
      const { crop } = this.#frame;
      const { size } = this.model.preprocessing;
      const scale = Math.min(1, MAX_HEATMAP_SIDE / Math.max(crop[2] - crop[0], crop[3] - crop[1]));
      const sides = [crop[2] - crop[0], crop[3] - crop[1]].map((side) => Math.max(1, Math.round(side * scale)));
      this.#heat = heatmapLayer(explanation.heatmap, crop, size, ...sides);
      this.#label(item, `heat map of the ${isWeak(strength) ? "weak " : ""}evidence for ${label}, strongest ${atRegion(peakRegion(explanation.heatmap, crop, size))}`);
    } else {
      this.#label(item, explanation ? `no evidence for ${label}` : "");
    }
    this.#redraw();
  }

  #label(item, heat = "") {
    const which = item.count > 1 ? `, frame ${item.shown + 1} of ${item.count}` : "";
    const label = `${item.name}${which}${heat && `: ${heat}`}`;
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
  }

  #draw() {
    const bitmap = this.#bitmap;
    if (!bitmap) {
      this.#canvas.getContext("2d").clearRect(0, 0, this.#canvas.width, this.#canvas.height);
      return;
    }
    const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      [this.#canvas.width, this.#canvas.height] = [width, height];
    }
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    if (this.#heat && !this.#canvas.classList.contains("stale")) this.#drawHeat(context, scale);
    if (this.#frame && byId("outline").checked) drawOutline(context, this.#frame.crop, scale);
  }

  #drawHeat(context, scale) {
    const [left, top, right, bottom] = this.#frame.crop.map((side) => side * scale);
    context.globalAlpha = (this.#strength * Number(byId("opacity").value)) / 100;
    context.drawImage(this.#heat, left, top, right - left, bottom - top);
    context.globalAlpha = 1;
  }
}

function describe(frame) {
  const frames = frame.count > 1 ? ` · ${plural(frame.count, "frame")}` : "";
  return `${frame.width} × ${frame.height} ${frame.format.toUpperCase()}${frames}`;
}

const atRegion = (region) => (region === "center" ? "in the center" : `at the ${region}`);

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
