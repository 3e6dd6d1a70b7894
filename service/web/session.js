// The frames of this visit, in memory: what was added, which is chosen, what is known of each.

let lastId = 0;

// One file. `readings` holds what is known of each of its frames, by index from 0.
export class Item {
  constructor(file, name) {
    this.id = ++lastId;
    this.file = file;
    this.name = name;
    this.count = 1;
    this.version = 0; // grows with each thing learnt of a frame
    this.cine = null; // of a file whose frames were read in one go: its segments and best frames
    this.shown = 0;
    this.readings = new Map();
    this.pictures = new Map();
    this.thumbnails = new Map();
    this.leaving = new AbortController();
  }

  get reading() {
    return this.readings.get(this.shown);
  }

  // The frames that were not read yet, or could be read on another try.
  get unread() {
    const open = (reading) => !reading || (reading.state === "refused" && reading.refusal.worthRetrying);
    return [...Array(this.count).keys()].filter((index) => open(this.readings.get(index)));
  }

  // The answered frames as [index, answer], in order.
  get answers() {
    return [...this.readings]
      .filter(([, reading]) => reading.state === "answered")
      .sort(([a], [b]) => a - b)
      .map(([index, reading]) => [index, reading.answer]);
  }
}

// Events: `list` (items came or went), `item` (one changed; `detail` is it), `choice` (another frame is looked at).
export class Session extends EventTarget {
  items = [];
  chosen = null;

  add(files) {
    const items = files.map(({ file, name }) => new Item(file, name));
    this.items.push(...items);
    this.#tell("list");
    if (!this.chosen && items.length) this.choose(items[0]);
    return items;
  }

  remove(item) {
    const place = this.items.indexOf(item);
    if (place < 0) return;
    item.leaving.abort();
    this.items.splice(place, 1);
    this.#tell("list");
    if (this.chosen === item) this.choose(this.items[Math.min(place, this.items.length - 1)] ?? null);
  }

  clear() {
    for (const item of this.items) item.leaving.abort();
    this.items = [];
    this.#tell("list");
    this.choose(null);
  }

  choose(item, index = item?.shown ?? 0) {
    this.chosen = item;
    if (item) item.shown = index;
    this.#tell("choice");
  }

  note(item, index, reading) {
    item.readings.set(index, reading);
    item.version += 1;
    this.changed(item);
  }

  changed(item) {
    this.#tell("item", item);
  }

  #tell(kind, detail = null) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
