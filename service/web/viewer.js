// The chosen frame at full size, with the heat map over it.

import { byId, oncePerFrame, setText } from "./dom.js";
import { drawLegend, heatmapLayer, peakRegion } from "./heatmap.js";
import { createCineControls } from "./cine.js";
import { paint } from "./paint.js";
import { isWeak, plural } from "./text.js";

const MAX_SIDE = 1600; // pixels of the canvas; larger frames are scaled down until they are enlarged
const MAX_ZOOMED_SIDE = 4096;
const MAX_HEATMAP_SIDE = 800; // pixels of the heat map; the canvas interpolates the rest
const SEEN_OPACITY = 0.65; // of a heat map that is hidden and shown while a key is held

// Events: `drawn`, after the canvas was painted.
export class Viewer extends EventTarget {
  #canvas = byId("picture");
  #bitmap = null;
  #frame = null;
  #shown = []; // item, index and result
  #heat = null;
  #strength = 1; // of the heat map's peak, next to that of the most probable plane
  #held = false;
  #redraw = oncePerFrame(() => this.#draw());

  constructor(session, queue, pictures, zoom) {
    super();
    Object.assign(this, { session, queue, pictures, zoom, model: null });
    this.cine = createCineControls(session, queue, byId("cine"));
    drawLegend(byId("legend"));
    byId("opacity").addEventListener("input", () => {
      setText(byId("opacity-value"), `${byId("opacity").value} %`);
      this.#redraw();
    });
    byId("outline").addEventListener("change", this.#redraw);
    byId("remove").addEventListener("click", () => session.remove([session.chosen]));
    zoom.addEventListener("zoom", this.#redraw);
  }

  // Hide the heat map, or show it if it is hidden, as long as `held` is true.
  set held(held) {
    this.#held = held;
    this.#redraw();
  }

  // The picture for `paint`; without its heat map while it is being replaced.
  get picture() {
    const heat = this.#canvas.classList.contains("stale") ? null : this.#heat;
    return { bitmap: this.#bitmap, frame: this.#frame, heat, strength: this.#strength };
  }

  // How pictures are painted now.
  get look() {
    const chosen = Number(byId("opacity").value) / 100;
    const opacity = this.#held ? (chosen ? 0 : SEEN_OPACITY) : chosen;
    return { opacity, outline: byId("outline").checked, side: this.zoom.scale > 1 ? MAX_ZOOMED_SIDE : MAX_SIDE };
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
    paint(this.#canvas, this.picture, this.look);
    this.zoom.sharpen();
    byId("hold").setAttribute("aria-disabled", String(!this.#heat)); // not `disabled`, which would drop the focus
    this.dispatchEvent(new Event("drawn"));
  }
}

function describe(frame) {
  const frames = frame.count > 1 ? ` · ${plural(frame.count, "frame")}` : "";
  return `${frame.width} × ${frame.height} ${frame.format.toUpperCase()}${frames}`;
}

const atRegion = (region) => (region === "center" ? "in the center" : `at the ${region}`);
