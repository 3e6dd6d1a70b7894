// The files of this visit, in memory only: which were added, which one is chosen, and the results of each.

let lastId = 0;

// One file. `results`, `pictures` and `thumbnails` are maps from frame index, counted from 0.
export class Item {
  constructor(file, name) {
    this.id = ++lastId;
    this.file = file;
    this.name = name;
    this.count = 1;
    this.version = 0; // increases with every result
    this.cine = null; // summary of a loop that was read whole: segments and most probable frames
    this.reading = false; // whether a loop is read, or waits for it
    this.asked = false; // whether the exam view has had this loop read
    this.failed = false; // whether the service refused to read this loop
    this.shown = 0;
    this.results = new Map();
    this.pictures = new Map();
    this.thumbnails = new Map();
    this.removal = new AbortController();
  }

  get result() {
    return this.results.get(this.shown);
  }

  // Indices of the frames without a result, or with a failure that is worth a retry.
  get pending() {
    const open = (result) => !result || (result.state === "refused" && result.refusal.worthRetrying);
    return [...Array(this.count).keys()].filter((index) => open(this.results.get(index)));
  }

  // Whether the file is not read to its end: nothing may be concluded from what it does not show.
  get unread() {
    if (this.reading) return true;
    if (this.count > 1) return !this.cine && !this.failed;
    const { state, refusal } = this.results.get(0) ?? {};
    return state !== "answered" && (state !== "refused" || refusal.worthRetrying);
  }

  // Answered frames as [index, answer], in frame order.
  get answers() {
    return [...this.results]
      .filter(([, result]) => result.state === "answered")
      .sort(([a], [b]) => a - b)
      .map(([index, result]) => [index, result.answer]);
  }
}

// Events: `list` (items were added or removed), `item` (`detail` changed), `choice` (another frame was chosen).
export class Session extends EventTarget {
  items = [];
  chosen = null;
  choices = new Map(); // from plane to the frame {item, index} that a person prefers in the exam

  add(files) {
    const items = files.map(({ file, name }) => new Item(file, name));
    this.items.push(...items);
    this.#emit("list");
    if (!this.chosen && items.length) this.choose(items[0]);
    return items;
  }

  remove(item) {
    const index = this.items.indexOf(item);
    if (index < 0) return;
    item.removal.abort();
    this.items.splice(index, 1);
    this.#emit("list");
    if (this.chosen === item) this.choose(this.items[Math.min(index, this.items.length - 1)] ?? null);
  }

  clear() {
    for (const item of this.items) item.removal.abort();
    this.items = [];
    this.choices.clear();
    this.#emit("list");
    this.choose(null);
  }

  choose(item, index = item?.shown ?? 0) {
    this.chosen = item;
    if (item) item.shown = index;
    this.#emit("choice");
  }

  setResult(item, index, result) {
    item.results.set(index, result);
    item.version += 1;
    this.changed(item);
  }

  changed(item) {
    this.#emit("item", item);
  }

  #emit(kind, detail = null) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
