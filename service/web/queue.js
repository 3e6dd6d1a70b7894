// The queue of frames to classify: a few requests at once, in order, the chosen frame first. Counts the results.

import { endedEarly, fromError, stopped, toRefusal } from "./refusal.js";

// Events: `progress` after each step.
export class Queue extends EventTarget {
  #waiting = []; // jobs {item, indices, whole, signal}: frames of a file, all in one upload or a single one
  #running = 0;
  #concurrency = 2;
  #stop = new AbortController(); // ends cines, which would run until their last frame, and waits for the service

  constructor(session, service, pictures) {
    super();
    Object.assign(this, { session, service, pictures, planes: [] });
    this.#reset();
  }

  // Start once the model is known, with its planes and the service's number of workers.
  start(planes, workers) {
    this.planes = planes;
    this.#concurrency = Math.min(4, workers + 1); // one more than the workers, so that no worker waits for an upload
    this.#startNext();
  }

  // Classify one frame of an item; `first` puts it at the head of the queue.
  classify(item, index, { first = false } = {}) {
    const known = item.results.get(index);
    if (known && known.state !== "refused") {
      if (first && known.state === "waiting") this.#moveToFront(item, index);
      return;
    }
    this.#enqueue(item, [index], { whole: false, first });
  }

  // Classify all remaining frames of an item in one upload.
  classifyAll(item) {
    if (item.reading) return;
    item.reading = true;
    this.#enqueue(item, item.pending, { whole: true });
  }

  // Read the files that are not read to their end.
  readRest(items) {
    for (const item of items.filter((each) => each.unread)) {
      if (item.count > 1) this.classifyAll(item);
      else this.classify(item, 0);
    }
  }

  // Go on with what was under way when these items were removed.
  resume(places) {
    for (const { item, open, reading } of places) {
      if (reading) this.classifyAll(item);
      else for (const index of open) this.classify(item, index);
    }
  }

  // Request the heat map for one plane; the frame's result caches it.
  async explain(item, index, plane) {
    const { evidence } = item.results.get(index);
    if (!evidence.has(plane)) {
      const query = { frame: index, target: plane };
      const reply = this.service.explain(item.file, query, item.removal.signal).then(({ explanation }) => explanation);
      evidence.set(plane, reply);
      reply.catch(() => evidence.delete(plane));
    }
    return evidence.get(plane);
  }

  // Drop all waiting frames. Running requests finish, unless they wait for the service.
  stop() {
    for (const job of this.#waiting.splice(0)) {
      if (job.whole && !job.signal.aborted) job.item.reading = false;
      for (const index of job.indices) this.#finish(job, index, { state: "refused", refusal: stopped() });
    }
    this.#stop.abort();
    this.#stop = new AbortController();
  }

  get left() {
    return this.total - this.done;
  }

  // Estimated seconds until the end, or null while too few frames are done for an estimate.
  get secondsLeft() {
    const spent = (performance.now() - this.began) / 1000;
    return this.done < 4 || spent < 2 ? null : (spent / this.done) * this.left + this.service.busyFor;
  }

  #enqueue(item, indices, { whole, first = false }) {
    if (this.#waiting.length + this.#running === 0) this.#reset();
    this.total += indices.length;
    this.#waiting[first ? "unshift" : "push"]({ item, indices, whole, signal: item.removal.signal });
    for (const index of indices) this.session.setResult(item, index, { state: "waiting" });
    this.#startNext();
  }

  #reset() {
    Object.assign(this, { total: 0, done: 0, answered: 0, abstained: 0, refused: 0, began: performance.now() });
  }

  #moveToFront(item, index) {
    const position = this.#waiting.findIndex((job) => job.item === item && !job.whole && job.indices[0] === index);
    if (position > 0) this.#waiting.unshift(...this.#waiting.splice(position, 1));
  }

  #startNext() {
    while (this.planes.length && this.#running < this.#concurrency && this.#waiting.length) {
      const job = this.#waiting.shift();
      this.#running += 1;
      (job.whole ? this.#classifyCine(job) : this.#classifyOne(job)).finally(() => {
        this.#running -= 1;
        this.#startNext();
      });
    }
    this.dispatchEvent(new Event("progress"));
  }

  async #classifyOne(job) {
    const { item, signal, indices: [index] } = job;
    if (signal.aborted) return this.#finish(job, index, { state: "refused", refusal: stopped() });
    this.session.setResult(item, index, { state: "running" });
    this.pictures.makeThumbnail(item, index);
    try {
      const query = { frame: index, top: this.planes.length };
      const { answer, stated } = await this.service.classify(item.file, query, signal, this.#stop.signal);
      item.count = answer.frame.count;
      Object.assign(item, stated);
      this.#finish(job, index, { state: "answered", answer, evidence: new Map() });
      this.pictures.makeThumbnail(item, index);
    } catch (error) {
      this.#finish(job, index, { state: "refused", refusal: fromError(error) });
    }
  }

  async #classifyCine(job) {
    const { item } = job;
    const left = new Set(job.indices);
    const signal = AbortSignal.any([job.signal, this.#stop.signal]);
    let refusal = endedEarly();
    try {
      for await (const line of this.service.classifyCine(item.file, { top: this.planes.length }, signal)) {
        const { frame: index } = line.source ?? {};
        if (line.summary) item.cine = line.summary.complete ? line.summary.cines[0] ?? null : null;
        else if (index === null) refusal = toRefusal(line); // of the whole file
        else this.#takeLine(job, index, line, left);
      }
    } catch (error) {
      refusal = signal.aborted ? stopped() : fromError(error);
    }
    for (const index of left) this.#finish(job, index, { state: "refused", refusal });
    if (job.signal.aborted) return; // removed, and perhaps restored and read again
    item.reading = false;
    item.failed = !item.cine && !refusal.worthRetrying;
    this.session.changed(item);
  }

  // Take one frame's line; of a file whose first frame is damaged, the batch shows that there are more.
  #takeLine(job, index, line, left) {
    const { item } = job;
    item.count = Math.max(item.count, index + 1, line.frame?.count ?? 0);
    if (!left.delete(index)) {
      if (item.results.has(index)) return;
      this.total += 1;
    }
    this.#finish(job, index, toResult(line));
  }

  #finish({ item, signal }, index, result) {
    if (signal.aborted) {
      this.total -= 1; // a removed item no longer counts
      this.dispatchEvent(new Event("progress"));
      return;
    }
    this.done += 1;
    if (result.state === "refused") this.refused += 1;
    else this[result.answer.abstain ? "abstained" : "answered"] += 1;
    this.session.setResult(item, index, result);
    this.dispatchEvent(new Event("progress"));
  }
}

// Return the result in a line of a batch reply.
function toResult({ source, ...line }) {
  return line.predictions
    ? { state: "answered", answer: line, evidence: new Map() }
    : { state: "refused", refusal: toRefusal(line) };
}
