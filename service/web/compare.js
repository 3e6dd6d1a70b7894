// Two frames side by side: the one that was shown is kept on the left, the chosen one is on the right.

import { byId, setText } from "./dom.js";
import { paint } from "./paint.js";
import { announce } from "./progress.js";
import { summary } from "./text.js";

const HOW = "Choose the second frame in the list or the exam.";

export class Compare {
  #kept = null; // {item, index, result, picture}
  #canvas = byId("kept-picture");

  constructor(session, viewer) {
    Object.assign(this, { session, viewer });
    byId("compare").addEventListener("click", () => this.toggle());
    viewer.addEventListener("drawn", () => this.#paint());
    session.addEventListener("list", () => this.#kept && !session.items.includes(this.#kept.item) && this.stop());
  }

  get on() {
    return this.#kept !== null;
  }

  toggle() {
    if (this.on) return this.stop();
    const item = this.session.chosen;
    if (!item) return;
    const { picture } = this.viewer;
    this.#kept = { item, index: item.shown, result: item.result, picture };
    this.#canvas.setAttribute("aria-label", byId("picture").getAttribute("aria-label"));
    setText(byId("kept-caption"), caption(item, item.shown));
    announce(`${item.name} stays on the left. ${HOW} Escape ends.`);
    this.#arrange();
  }

  stop() {
    this.#kept = null;
    announce("One frame is shown.");
    this.#arrange();
  }

  // Name the chosen frame, next to the kept one.
  show(item) {
    if (!this.on) return;
    const same = item === this.#kept.item && item.shown === this.#kept.index;
    setText(byId("caption"), same ? HOW : caption(item, item.shown));
  }

  #arrange() {
    byId("compare").setAttribute("aria-pressed", String(this.on));
    byId("kept").hidden = !this.on;
    byId("caption").hidden = !this.on;
    byId("pictures").classList.toggle("two", this.on);
    if (this.session.chosen) this.show(this.session.chosen);
    this.#paint();
  }

  #paint() {
    if (!this.on) return;
    paint(this.#canvas, this.#kept.picture, this.viewer.look);
    this.viewer.zoom.sharpen();
  }
}

function caption(item, index) {
  const { text, value } = summary(item.results.get(index));
  return [`${item.name}${item.count > 1 ? `, frame ${index + 1}` : ""}`, [text, value].filter(Boolean).join(" ")].join(" · ");
}
