// Has frames read: a few at once, in order, what is looked at first; keeps count.

import { cutShort, Refusal, refusalFrom, stopped } from "./service.js";

// Events: `progress` after each step.
export class Reader extends EventTarget {
  #waiting = [];
  #running = 0;
  #width = 2;
  #loops = new AbortController(); // ends the reading of loops, which else would go on for long

  constructor(session, service, pictures) {
    super();
    Object.assign(this, { session, service, pictures, planes: [] });
    this.#reset();
  }

  // Once the model is known: its planes, and how many frames the service works on at once.
  start(planes, workers) {
    this.planes = planes;
    this.#width = Math.min(4, workers + 1); // one more than it works on, so that it never waits for an upload
    this.#pump();
  }

  // Read one frame of an item; `first` puts it before all that waits.
  read(item, index, { first = false } = {}) {
    const known = item.readings.get(index);
    if (known && known.state !== "refused") {
      if (first && known.state === "waiting") this.#hurry(item, index);
      return;
    }
    this.#expect(item, [index]);
    this.#waiting[first ? "unshift" : "push"]([item, index]);
    this.#pump();
  }

  // Read all frames of an item that are not known, in one upload.
  readAll(item) {
    const unread = item.unread;
    this.#expect(item, unread);
    this.#waiting.push([item, unread]);
    this.#pump();
  }

  // Ask for the evidence for one plane; the reading of the frame keeps it.
  async explain(item, index, plane) {
    const { evidence } = item.readings.get(index);
    if (!evidence.has(plane)) {
      const query = { frame: index, target: plane };
      const asked = this.service.explain(item.file, query, item.leaving.signal).then((reply) => reply.explanation);
      evidence.set(plane, asked);
      asked.catch(() => evidence.delete(plane));
    }
    return evidence.get(plane);
  }

  // Let what runs finish, and ask no more.
  stop() {
    for (const [item, indices] of this.#waiting.splice(0)) {
      for (const index of [indices].flat()) this.#settle(item, index, { state: "refused", refusal: stopped() });
    }
    this.#loops.abort();
    this.#loops = new AbortController();
  }

  get left() {
    return this.total - this.done;
  }

  // Seconds that the rest will take, or null while that is a guess.
  get secondsLeft() {
    const spent = (performance.now() - this.began) / 1000;
    return this.done < 4 || spent < 2 ? null : (spent / this.done) * this.left + this.service.busyFor;
  }

  #expect(item, indices) {
    if (this.#waiting.length + this.#running === 0) this.#reset();
    this.total += indices.length;
    for (const index of indices) this.session.note(item, index, { state: "waiting" });
  }

  #reset() {
    Object.assign(this, { total: 0, done: 0, answered: 0, abstained: 0, refused: 0, began: performance.now() });
  }

  #hurry(item, index) {
    const place = this.#waiting.findIndex((job) => job[0] === item && job[1] === index);
    if (place > 0) this.#waiting.unshift(...this.#waiting.splice(place, 1));
  }

  #pump() {
    while (this.planes.length && this.#running < this.#width && this.#waiting.length) {
      const [item, which] = this.#waiting.shift();
      this.#running += 1;
      (Array.isArray(which) ? this.#readLoop(item, which) : this.#readOne(item, which)).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
    this.dispatchEvent(new Event("progress"));
  }

  async #readOne(item, index) {
    if (item.leaving.signal.aborted) return this.#settle(item, index, { state: "refused", refusal: stopped() });
    this.session.note(item, index, { state: "asking" });
    this.pictures.sketch(item, index);
    try {
      const query = { frame: index, top: this.planes.length };
      const answer = await this.service.classify(item.file, query, item.leaving.signal);
      item.count = answer.frame.count;
      this.#settle(item, index, { state: "answered", answer, evidence: new Map() });
      this.pictures.sketch(item, index);
    } catch (error) {
      this.#settle(item, index, { state: "refused", refusal: asRefusal(error) });
    }
  }

  async #readLoop(item, indices) {
    const left = new Set(indices);
    const signal = AbortSignal.any([item.leaving.signal, this.#loops.signal]);
    let refusal = cutShort();
    try {
      for await (const line of this.service.loop(item.file, { top: this.planes.length }, signal)) {
        if (line.summary) [item.cine] = line.summary.cines;
        else if (left.delete(line.source.frame)) this.#settle(item, line.source.frame, readingOf(line));
      }
    } catch (error) {
      refusal = signal.aborted ? stopped() : asRefusal(error);
    }
    for (const index of left) this.#settle(item, index, { state: "refused", refusal });
    this.session.changed(item);
  }

  #settle(item, index, reading) {
    if (item.leaving.signal.aborted) {
      this.total -= 1; // as if it had never been
      return;
    }
    this.done += 1;
    if (reading.state === "refused") this.refused += 1;
    else this[reading.answer.abstain ? "abstained" : "answered"] += 1;
    this.session.note(item, index, reading);
    this.dispatchEvent(new Event("progress"));
  }
}

// What a line of a loop's reply says of its frame.
function readingOf({ source, ...line }) {
  return line.predictions
    ? { state: "answered", answer: line, evidence: new Map() }
    : { state: "refused", refusal: refusalFrom(line) };
}

function asRefusal(error) {
  if (error instanceof Refusal) return error;
  return new Refusal({ status: 1, code: "page-fault", title: "Not read", detail: "The reply could not be understood." });
}
