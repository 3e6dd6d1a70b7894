// Files that a person has selected in the list: marked by checkbox, Space, Control or Shift; saved or removed together.

import { byId, setText } from "./dom.js";
import { announce } from "./progress.js";
import { plural } from "./text.js";

// Event: `change`.
export class Selection extends EventTarget {
  items = new Set();
  #anchor = null; // where a range begins

  constructor(session, { save, visible }) {
    super();
    Object.assign(this, { session, visible });
    session.addEventListener("list", () => this.#set([...this.items].filter((item) => session.items.includes(item))));
    session.addEventListener("removal", () => { this.#anchor = null; });
    for (const button of byId("selection").querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => save(button.dataset.save, this.ordered));
    }
    byId("select-all").addEventListener("click", () => this.all());
    byId("select-none").addEventListener("click", () => this.clear());
    byId("remove-selected").addEventListener("click", () => session.remove(this.ordered));
  }

  // The selected files in the order of the list.
  get ordered() {
    return this.session.items.filter((item) => this.items.has(item));
  }

  toggle(item) {
    this.#anchor = item;
    this.#set(this.items.has(item) ? [...this.items].filter((each) => each !== item) : [...this.items, item]);
  }

  // Select everything between the file that was marked or chosen last and this one.
  extend(item) {
    const items = this.visible();
    const from = items.indexOf(this.#anchor ?? this.session.chosen);
    const to = items.indexOf(item);
    this.#set([...this.items, ...items.slice(Math.min(from < 0 ? to : from, to), Math.max(from, to) + 1)]);
  }

  all() {
    this.#set(this.visible());
  }

  clear() {
    this.#anchor = null;
    this.#set([]);
  }

  #set(items) {
    const before = this.items.size;
    this.items = new Set(items);
    if (!before && !this.items.size) return;
    byId("selection").hidden = !this.items.size;
    setText(byId("selection-status"), "");
    setText(byId("selection-count"), `${this.items.size} selected`);
    announce(this.items.size ? `${plural(this.items.size, "file")} selected.` : "Nothing is selected.");
    this.dispatchEvent(new Event("change"));
  }
}
