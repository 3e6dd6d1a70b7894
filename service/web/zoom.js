// Enlarge and move the picture: wheel, pinch, drag, buttons and keys. Two compared pictures move as one.

import { byId, setText } from "./dom.js";

const MAX_SCALE = 16;
const STEP = 1.25;
const PAN_STEP = 0.1; // of the box, for an arrow key
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const CRISP_FROM = 2; // screen pixels per pixel of the frame, from which single pixels are shown as squares

// Events: `zoom`, after the scale or the position has changed.
export class Zoom extends EventTarget {
  scale = 1;
  #x = 0; // position of the enlarged picture's corner, in widths and heights of its box
  #y = 0;
  #area = byId("pictures");
  #points = new Map(); // of the pressed pointers, as [x, y] in their box

  constructor() {
    super();
    const area = this.#area;
    area.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    area.addEventListener("pointerdown", (event) => this.#onDown(event));
    area.addEventListener("pointermove", (event) => this.#onMove(event));
    for (const kind of ["pointerup", "pointercancel"]) area.addEventListener(kind, (event) => this.#points.delete(event.pointerId));
    area.addEventListener("dblclick", (event) => (this.scale > 1 ? this.reset() : this.by(2.5, pointOf(event))));
    area.addEventListener("keydown", (event) => this.#onKey(event));
    byId("zoom-in").addEventListener("click", () => this.by(STEP));
    byId("zoom-out").addEventListener("click", () => this.by(1 / STEP));
    byId("zoom-reset").addEventListener("click", () => this.reset());
    this.#apply();
  }

  // Change the scale by a factor; the point [x, y] of the box stays where it is.
  by(factor, [x, y] = [0.5, 0.5]) {
    const scale = Math.min(MAX_SCALE, Math.max(1, this.scale * factor));
    const grown = scale / this.scale;
    this.scale = scale;
    this.#moveTo(x - (x - this.#x) * grown, y - (y - this.#y) * grown);
  }

  in = () => this.by(STEP);
  out = () => this.by(1 / STEP);

  reset() {
    this.scale = 1;
    this.#moveTo(0, 0);
  }

  // Show the pixels of strongly enlarged pictures as squares, as a viewer of stills must not invent detail.
  sharpen() {
    for (const canvas of this.#area.querySelectorAll("canvas")) {
      const fit = Math.min(canvas.clientWidth / canvas.width, canvas.clientHeight / canvas.height);
      canvas.classList.toggle("crisp", this.scale > 1 && fit * this.scale * devicePixelRatio >= CRISP_FROM);
    }
  }

  #moveTo(x, y) {
    const within = (at) => Math.min(0, Math.max(1 - this.scale, at));
    [this.#x, this.#y] = [within(x), within(y)];
    this.#apply();
    this.dispatchEvent(new Event("zoom"));
  }

  #apply() {
    const { style, classList } = this.#area;
    style.setProperty("--zoom", this.scale);
    style.setProperty("--x", `${this.#x * 100}%`);
    style.setProperty("--y", `${this.#y * 100}%`);
    classList.toggle("zoomed", this.scale > 1);
    setText(byId("zoom-reset"), `${Math.round(this.scale * 100)} %`);
    byId("zoom-out").setAttribute("aria-disabled", String(this.scale <= 1));
    byId("zoom-in").setAttribute("aria-disabled", String(this.scale >= MAX_SCALE));
  }

  #onWheel(event) {
    if (!event.target.closest(".light-box")) return;
    // In a window in which the page scrolls, the wheel scrolls it; with Ctrl, as browsers report a pinch, it enlarges.
    const { scrollHeight, clientHeight } = document.documentElement;
    if (this.scale <= 1 && !event.ctrlKey && (event.deltaY > 0 || scrollHeight > clientHeight)) return;
    event.preventDefault();
    this.by(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), pointOf(event));
  }

  #onDown(event) {
    if (event.button || !event.target.matches("canvas")) return;
    event.target.setPointerCapture(event.pointerId);
    this.#points.set(event.pointerId, pointOf(event));
  }

  #onMove(event) {
    const before = this.#points.get(event.pointerId);
    if (!before) return;
    const now = pointOf(event);
    const [other] = [...this.#points].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.#points.set(event.pointerId, now);
    if (other) {
      const distance = ([x, y]) => Math.hypot((x - other[0]) * event.target.clientWidth, (y - other[1]) * event.target.clientHeight);
      this.by(distance(now) / Math.max(1, distance(before)), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
    } else if (this.scale > 1) {
      this.#moveTo(this.#x + now[0] - before[0], this.#y + now[1] - before[1]);
    }
  }

  #onKey(event) {
    const arrow = ARROWS[event.key];
    if (!arrow || this.scale <= 1 || !event.target.matches("canvas")) return;
    event.preventDefault();
    this.#moveTo(this.#x + arrow[0] * PAN_STEP, this.#y + arrow[1] * PAN_STEP);
  }
}

// Return where an event is in the box of its picture: [0, 0] upper left, [1, 1] lower right.
function pointOf(event) {
  const box = event.target.closest(".light-box").getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}
