// The part of the live picture that is classified: found by the service's sector search, corrected by a person.

const FIRST = 3; // whole frames whose boxes decide at the start
const EVERY_MS = 1000; // until the layout is looked at again
const SAME = 0.04; // of the longer side: edges that differ by less are the same
const LEAST = 0.05; // of a side: a smaller rectangle is a click
const STEP = 0.01;

// Boxes are [left, top, right, bottom] as shares 0..1 of the frame. Events: `confirmed` when the layout is still the same,
// `doubted` when it is another one in this frame, `change` of the box.
export class LiveCrop extends EventTarget {
  box = [0, 0, 1, 1];
  byHand = false;
  #found = []; // the last boxes of the service
  #basis = null; // the service's box while this crop holds
  #lookedAt = -Infinity;

  // Forget the crop: another source, or a person asks for it.
  reset() {
    Object.assign(this, { box: [0, 0, 1, 1], byHand: false });
    [this.#found, this.#basis, this.#lookedAt] = [[], null, -Infinity];
    this.dispatchEvent(new Event("change"));
  }

  // Whether the next frame should be sent whole, so that the service finds the sector.
  isDue(now) {
    return !this.#basis || this.#found.length > 0 || now - this.#lookedAt > EVERY_MS;
  }

  // Take the service's box of a whole frame. The layout has changed if several boxes in a row agree on another one.
  take(box, now) {
    this.#lookedAt = now;
    if (this.#basis && isSame(box, this.#basis)) {
      this.#found = [];
      this.dispatchEvent(new Event("confirmed"));
      return;
    }
    this.dispatchEvent(new Event("doubted"));
    this.#found = [...this.#found.filter((each) => isSame(each, box)), box];
    if (this.#found.length < FIRST) return;
    const changed = Boolean(this.#basis);
    this.#basis = middle(this.#found);
    this.#found = [];
    if (changed || !this.byHand) Object.assign(this, { box: this.#basis, byHand: false });
    this.dispatchEvent(new CustomEvent("change", { detail: { changed } }));
  }

  // Correct the crop by hand. It holds until the layout changes.
  correct(box) {
    const [left, top, right, bottom] = box.map((edge) => Math.min(1, Math.max(0, edge)));
    if (right - left < LEAST || bottom - top < LEAST) return;
    this.box = [left, top, right, bottom];
    this.byHand = true;
    this.dispatchEvent(new Event("change"));
  }
}

// Let a person draw the crop on `canvas` by dragging, or move its edges: arrow keys move it, with Shift its lower right corner.
export function startCorrection(canvas, crop) {
  let from = null;
  const place = ({ offsetX, offsetY }) => [offsetX / canvas.clientWidth, offsetY / canvas.clientHeight];
  canvas.addEventListener("pointerdown", (event) => {
    from = place(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => from && crop.correct(rectangle(from, place(event))));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
  canvas.addEventListener("keydown", (event) => {
    const [x, y] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [0, 0];
    if (!x && !y) return;
    event.preventDefault();
    const [left, top, right, bottom] = crop.box;
    crop.correct(event.shiftKey ? [left, top, right + x, bottom + y] : [left + x, top + y, right + x, bottom + y]);
  });
}

const rectangle = ([x, y], [otherX, otherY]) => [Math.min(x, otherX), Math.min(y, otherY), Math.max(x, otherX), Math.max(y, otherY)];
const isSame = (a, b) => a.every((edge, side) => Math.abs(edge - b[side]) <= SAME);
const middle = (boxes) => [0, 1, 2, 3].map((side) => boxes.map((box) => box[side]).sort((a, b) => a - b)[Math.floor(boxes.length / 2)]);
