// Asks the service. Frames are sent as bare bytes, or as a form for a report; never with a file's own name.

const TRIES = 30; // of a service that says that it is busy, each after the pause that it asks for
const LONGEST_PAUSE_S = 60;
const JSON_TYPE = "application/json";
const LINES = "application/x-ndjson";
const PICTURE = "image/jpeg";
const PAGE = "text/html";

// A request that was not answered as hoped, in words for a person.
export class Refusal extends Error {
  constructor({ status = 0, code = "", title, detail, requestId = "", pause = null }) {
    super(detail);
    Object.assign(this, { status, code, title, detail, requestId, pause });
  }

  get worthRetrying() {
    return this.status === 0 || this.status === 503 || this.status === 504;
  }
}

export const stopped = () =>
  new Refusal({ code: "stopped", title: "Stopped", detail: "The reading was stopped before this frame’s turn." });

export const cutShort = () =>
  new Refusal({ code: "cut-short", title: "Not read", detail: "The service’s reply ended before this frame’s turn." });

const unreachable = () =>
  new Refusal({
    code: "unreachable",
    title: "No connection",
    detail: "The service cannot be reached. Is it running, and is this computer connected to it?",
  });

// The pause in seconds that a header `Retry-After` asks for, as seconds or as a date.
export function pauseFrom(header, now = Date.now()) {
  const seconds = /^\s*\d+\s*$/.test(header ?? "") ? Number(header) : (Date.parse(header ?? "") - now) / 1000;
  return Number.isFinite(seconds) ? Math.min(LONGEST_PAUSE_S, Math.max(0, seconds)) : 1;
}

// What a problem document says, whether it came as a reply or as a line of one.
export function refusalFrom(problem, status = problem.status) {
  return new Refusal({
    status,
    code: problem.code ?? "",
    title: problem.title ?? `Refused (${status})`,
    detail: problem.detail ?? "The service gave no reason.",
    requestId: problem.request_id ?? "",
  });
}

async function refusalOf(reply) {
  const refusal = refusalFrom(await reply.json().catch(() => ({})), reply.status);
  if (reply.status === 503) refusal.pause = pauseFrom(reply.headers.get("Retry-After"));
  return refusal;
}

// Sends requests; while the service is busy it holds all of them back, as long as the service asks.
export class Service extends EventTarget {
  #opensAt = 0;
  #key = null; // in memory alone

  useKey(key) {
    this.#key = key;
  }

  get busyFor() {
    return Math.max(0, this.#opensAt - Date.now()) / 1000;
  }

  model(signal) {
    return this.#ask("model", { signal });
  }

  health(signal) {
    return this.#ask("health", { signal });
  }

  interface() {
    return this.#ask("openapi.json", {});
  }

  classify(file, query, signal) {
    return this.#ask("classify", { query, body: file, signal });
  }

  explain(file, query, signal) {
    return this.#ask("explain", { query: { ...query, overlay: false }, body: file, signal });
  }

  // All frames of a file in one upload: a line each as they are read, and at last a summary.
  async *loop(file, query, signal) {
    const reply = await this.#ask("classify/batch", { query, body: file, signal, accept: LINES });
    let rest = "";
    for await (const text of reply.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  }

  // A frame and some of those after it, for files that the browser cannot read: one picture, and how many it shows.
  async pictures(file, index, most, signal) {
    const reply = await this.#ask("frame", { query: { frame: index, count: most }, body: file, signal, accept: PICTURE });
    return { blob: await reply.blob(), frames: Number(reply.headers.get("X-Frames")) };
  }

  // The exam that these files make, sorted by the service: a page of its own, as text.
  async report(files, query) {
    const body = new FormData();
    for (const { file, name } of files) body.append("files", file, name);
    const reply = await this.#ask("exam", { query, body, accept: PAGE });
    return reply.text();
  }

  async #ask(path, { query = {}, body = null, signal, accept = JSON_TYPE }) {
    for (let attempt = 1; ; attempt += 1) {
      await this.#untilOpen(signal);
      try {
        return await this.#askOnce(path, { query, body, signal, accept });
      } catch (refusal) {
        if (refusal.pause === null || refusal.pause === undefined || attempt === TRIES) throw refusal;
        this.#hold(refusal.pause);
      }
    }
  }

  async #askOnce(path, { query, body, signal, accept }) {
    const headers = {
      Accept: accept,
      ...(body instanceof Blob && { "Content-Type": "application/octet-stream" }),
      ...(this.#key && { Authorization: `Bearer ${this.#key}` }),
    };
    const address = Object.keys(query).length ? `${path}?${new URLSearchParams(query)}` : path;
    let reply;
    try {
      reply = await fetch(address, { method: body ? "POST" : "GET", headers, body, signal });
    } catch (error) {
      if (signal?.aborted) throw stopped();
      throw await readable(body) ? unreachable() : vanished();
    }
    if (!reply.ok) throw await refusalOf(reply);
    return accept === JSON_TYPE ? reply.json() : reply;
  }

  #hold(seconds) {
    const until = Date.now() + Math.max(0.2, seconds) * 1000;
    if (until > this.#opensAt) {
      this.#opensAt = until;
      this.dispatchEvent(new Event("busy"));
    }
  }

  async #untilOpen(signal) {
    while (this.busyFor > 0) {
      // A little apart, so that those who waited do not all knock at once.
      await new Promise((resolve) => setTimeout(resolve, this.busyFor * 1000 + Math.random() * 150));
      if (signal?.aborted) throw stopped();
    }
  }
}

// A file that was moved or changed since it was chosen fails like a lost connection; this tells the two apart.
async function readable(file) {
  if (!(file instanceof Blob)) return true;
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

const vanished = () =>
  new Refusal({
    status: 1,
    code: "unreadable-file",
    title: "File not readable",
    detail: "The browser cannot read this file any more. It may have been moved or changed: add it again.",
  });
