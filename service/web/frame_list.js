// The list of frames, each with its thumbnail, plane and probability.

import { byId, h, oncePerFrame, setText } from "./dom.js";
import { drawThumbnail } from "./pictures.js";
import { hasGuess, plural, summary } from "./text.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };

export class FrameList {
  #list = byId("tiles");
  #tiles = new Map();
  #stale = new Set();
  #refresh = oncePerFrame(() => this.#update());

  constructor(session) {
    this.session = session;
    session.addEventListener("list", () => this.#arrange());
    session.addEventListener("item", ({ detail }) => this.#mark(detail));
    session.addEventListener("choice", () => this.#markChoice());
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #arrange() {
    const { items } = this.session;
    for (const [item, tile] of this.#tiles) {
      if (items.includes(item)) continue;
      tile.parentElement.remove();
      this.#tiles.delete(item);
    }
    for (const item of items.filter((each) => !this.#tiles.has(each))) {
      const tile = h("button", { type: "button", class: "tile", tabindex: -1, onclick: () => this.session.choose(item) }, ...tileParts());
      this.#tiles.set(item, tile);
      this.#list.append(h("li", {}, tile));
      this.#mark(item);
    }
    setText(byId("list-title"), items.length ? plural(items.length, "file") : "Frames");
  }

  #mark(item) {
    this.#stale.add(item);
    this.#refresh();
  }

  #update() {
    for (const item of this.#stale) {
      const tile = this.#tiles.get(item);
      if (tile) updateTile(tile, item, item.count > 1 ? item.shown : 0);
    }
    this.#stale.clear();
  }

  #markChoice() {
    for (const [item, tile] of this.#tiles) {
      const chosen = item === this.session.chosen;
      if (chosen) this.#mark(item);
      if ((tile.getAttribute("aria-current") === "true") === chosen) continue;
      tile.setAttribute("aria-current", String(chosen));
      tile.tabIndex = chosen ? 0 : -1;
      if (chosen) tile.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  #onKey(event) {
    if (event.key === "Delete") this.session.remove(this.session.chosen);
    else if (event.key in STEPS) this.step(STEPS[event.key]);
    else return;
    event.preventDefault();
    this.focus();
  }

  // Choose another file, by its distance from the chosen one.
  step(distance) {
    const { items, chosen } = this.session;
    if (items.length) this.session.choose(items[Math.min(items.length - 1, Math.max(0, items.indexOf(chosen) + distance))]);
  }

  // Move the focus to the chosen tile.
  focus() {
    (this.#tiles.get(this.session.chosen) ?? byId("main")).focus();
  }
}

export const tileParts = () => [
  h("canvas", { class: "thumb", width: 176, height: 132, "aria-hidden": "true" }),
  h("span", { class: "tile-text" },
    h("span", { class: "tile-plane" }),
    h("span", { class: "tile-value" }),
    h("span", { class: "tile-bar", "aria-hidden": "true" }, h("i")),
    h("span", { class: "tile-name" })),
];

// Update a tile from a frame of an item.
export function updateTile(tile, item, index) {
  const result = item.results.get(index);
  const { kind, text, value } = summary(result);
  tile.dataset.kind = kind;
  setText(tile.querySelector(".tile-plane"), text);
  setText(tile.querySelector(".tile-value"), value);
  setText(tile.querySelector(".tile-name"), item.count > 1 ? `${item.name} · ${index + 1}/${item.count}` : item.name);
  tile.title = item.name;
  tile.querySelector(".tile-bar i").style.setProperty("--share", result?.answer && hasGuess(result.answer) ? result.answer.predictions[0].probability : 0);
  drawThumbnail(tile.querySelector(".thumb"), item.thumbnails.get(index) ?? item.thumbnails.get(0));
}
