// The list of files: it chooses one, marks several, and shows one kind of them if a person filters it.

import { byId, h, oncePerFrame, setText } from "./dom.js";
import { ofKind, originalsOf } from "./outcome.js";
import { openReason } from "./review.js";
import { plural } from "./text.js";
import { tileParts, updateTile } from "./tile.js";

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };

export class FrameList {
  #list = byId("tiles");
  #entries = new Map(); // item to its {place, tile, box, note}
  #stale = new Set();
  #refresh = oncePerFrame(() => this.#update());

  constructor(session) {
    this.session = session;
    session.addEventListener("list", () => this.#arrange());
    session.addEventListener("item", ({ detail }) => this.#mark(detail));
    session.addEventListener("choice", () => this.#markChoice());
    session.addEventListener("filter", () => {
      this.#filter();
      this.#refresh(); // the notes
    });
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
  }

  // Connect the selection, which needs the list.
  set selection(selection) {
    this.selected = selection;
    selection.addEventListener("change", () => this.#markSelection());
  }

  // The files that the list shows.
  get visible() {
    return this.session.items.filter((item) => !this.#entries.get(item)?.place.hidden);
  }

  #arrange() {
    const { items } = this.session;
    const kept = new Set(items);
    for (const [item, { place }] of this.#entries) {
      if (kept.has(item)) continue;
      place.remove();
      this.#entries.delete(item);
    }
    items.forEach((item, index) => {
      const { place } = this.#entries.get(item) ?? this.#add(item);
      if (this.#list.children[index] !== place) this.#list.insertBefore(place, this.#list.children[index] ?? null);
    });
    for (const item of items) this.#mark(item); // another file may be the duplicate now
    setText(byId("list-title"), items.length ? plural(items.length, "file") : "Frames");
  }

  #add(item) {
    const tile = h("button", { type: "button", class: "tile", tabindex: -1, onclick: (event) => this.#onClick(item, event) }, ...tileParts());
    const note = h("span", { class: "tile-note" });
    tile.querySelector(".tile-name").before(note);
    const box = h("input", { type: "checkbox", tabindex: -1, "aria-label": `Select ${item.name}`, onchange: () => this.selected.toggle(item) });
    const place = h("li", {}, h("label", { class: "tile-box" }, box), tile);
    this.#entries.set(item, { place, tile, box, note });
    updateTile(tile, item, item.shown);
    return { place };
  }

  #mark(item) {
    this.#stale.add(item);
    this.#refresh();
  }

  #update() {
    const originals = originalsOf(this.session.items);
    for (const item of this.#stale) {
      const { tile } = this.#entries.get(item) ?? {};
      if (tile) updateTile(tile, item, item.count > 1 ? item.shown : 0);
    }
    this.#stale.clear();
    // Of files with the same bytes the first one that was read counts: an answer can change the note of another file.
    const why = (item) => (this.session.filter === "to-review" ? openReason(item) : "");
    for (const [item, { note }] of this.#entries) setText(note, originals.has(item) ? `Same as ${originals.get(item).name}` : why(item));
    if (this.session.filter) this.#filter();
  }

  // Hide what the filter does not match.
  #filter() {
    const shown = new Set(ofKind(this.session.items, this.session.filter));
    for (const [item, { place }] of this.#entries) place.hidden = !shown.has(item);
  }

  #markChoice() {
    for (const [item, { tile }] of this.#entries) {
      const chosen = item === this.session.chosen;
      if (chosen) this.#mark(item);
      if ((tile.getAttribute("aria-current") === "true") === chosen) continue;
      tile.setAttribute("aria-current", String(chosen));
      tile.tabIndex = chosen ? 0 : -1;
      if (chosen) tile.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  #markSelection() {
    for (const [item, { place, box }] of this.#entries) {
      box.checked = this.selected.items.has(item);
      place.classList.toggle("selected", box.checked);
    }
  }

  #onClick(item, event) {
    if (event.shiftKey) this.selected.extend(item);
    else if (event.ctrlKey || event.metaKey) this.selected.toggle(item);
    else this.session.choose(item);
  }

  #onKey(event) {
    const { chosen } = this.session;
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "Delete") this.session.remove(this.selected.items.has(chosen) ? this.selected.ordered : [chosen]);
    else if (event.key === " ") this.selected.toggle(chosen);
    else if (event.key === "Escape" && this.selected.items.size) this.selected.clear();
    else if (command && event.key.toLowerCase() === "a") this.selected.all();
    else if (event.key in STEPS && !command) this.step(STEPS[event.key], event.shiftKey);
    else return;
    event.preventDefault();
    if (this.session.items.length) this.focus();
  }

  // Choose another file that the list shows, by its distance from the chosen one; select both if asked.
  step(distance, extend = false) {
    const { visible } = this;
    if (!visible.length) return;
    const next = visible.indexOf(this.session.chosen) + distance;
    if (extend) this.selected.extend(this.session.chosen);
    this.session.choose(visible[Math.min(visible.length - 1, Math.max(0, next))]);
    if (extend) this.selected.extend(this.session.chosen);
  }


  // Move the focus to the chosen tile.
  focus() {
    (this.#entries.get(this.session.chosen)?.tile ?? byId("main")).focus();
  }
}
