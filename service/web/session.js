// The files of this visit, in memory only: which were added, which one is chosen, and the results of each.

import { isOpen } from "./outcome.js";

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
    this.patient = null; // key of the patient, if the file states one; it names nobody
    this.content = this; // the same for files with the same bytes
    this.reviews = new Map(); // by frame index, what a person says of it; files with the same bytes share it
    Object.assign(this, { machine: "", study: "", patientId: "" }); // what the file states, for corrections that are kept
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

  // End all requests. Returns the frames that were under way, so that `session.restore` can resume them.
  drop() {
    this.removal.abort();
    const open = [...this.results].filter(([, result]) => isOpen(result)).map(([index]) => index);
    for (const index of open) this.results.delete(index);
    const { reading } = this;
    this.reading = false;
    return { open, reading };
  }
}

// Events: `list` (items were added or removed), `item` (`detail` changed), `choice` (another frame was chosen),
// `removal` (`detail` can be restored), `filter` (another part of the list is shown), `review` (`detail` {item, index, before,
// after}: a person reviewed a frame).
export class Session extends EventTarget {
  items = [];
  chosen = null;
  choices = new Map(); // from plane to the frame {item, index} that a person prefers in the exam
  unsavedChoices = false; // whether a choice is in no saved file
  unsavedReviews = false; // whether a review is in no saved file, and the service does not keep it
  filter = null; // the kind of files that the list shows, or null for all

  add(files) {
    const items = files.map(({ file, name }) => new Item(file, name));
    this.items.push(...items);
    this.#emit("list");
    if (!this.chosen && items.length) this.choose(items[0]);
    return items;
  }

  remove(items) {
    const removed = new Set(items);
    const places = [...this.items.entries()].filter(([, item]) => removed.has(item))
      .map(([index, item]) => ({ index, item, ...item.drop() }));
    if (!places.length) return;
    const { chosen } = this;
    this.items = this.items.filter((item) => !removed.has(item));
    if (!this.items.length) this.filter = null;
    this.#emit("list");
    if (removed.has(chosen)) {
      const rank = places.findIndex(({ item }) => item === chosen);
      this.choose(this.items[Math.min(places[rank].index - rank, this.items.length - 1)] ?? null); // the one after it
    }
    this.#emit("removal", { places, chosen });
  }

  // Put removed items back where they were, with their results.
  restore({ places, chosen }) {
    for (const { index, item } of places) {
      item.removal = new AbortController();
      this.items.splice(Math.min(index, this.items.length), 0, item);
    }
    for (const { item } of places) this.share(item);
    this.#emit("list");
    this.choose(chosen);
  }

  choose(item, index = item?.shown ?? 0) {
    this.chosen = item;
    if (item) item.shown = index;
    this.#emit("choice");
  }

  // Prefer a frame of a plane in the exam; null for the most probable one.
  prefer(plane, frame) {
    if (frame) this.choices.set(plane, frame);
    else this.choices.delete(plane);
    this.unsavedChoices = true;
  }

  // Keep what a person says of a frame, {plane, subPlane}; null takes it back. It holds for files with the same bytes, too.
  review(item, index, after) {
    const before = item.reviews.get(index) ?? null;
    if (after) item.reviews.set(index, after);
    else item.reviews.delete(index);
    this.unsavedReviews = true;
    for (const each of this.items.filter(({ reviews }) => reviews === item.reviews)) {
      each.version += 1;
      this.changed(each);
    }
    this.#emit("review", { item, index, before, after });
  }

  // Give an item the reviews of the files with the same bytes; where both are reviewed, the earlier file's count.
  share(item) {
    const same = this.items.find((each) => each !== item && each.content === item.content);
    if (!same || same.reviews === item.reviews) return;
    for (const [index, review] of item.reviews) if (!same.reviews.has(index)) same.reviews.set(index, review);
    for (const each of this.items) if (each.content === item.content) each.reviews = same.reviews;
  }

  // Everything is in a saved file.
  saved() {
    Object.assign(this, { unsavedChoices: false, unsavedReviews: false });
  }

  // Show one kind of files in the list, or all.
  show(filter) {
    this.filter = filter;
    this.#emit("filter");
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
