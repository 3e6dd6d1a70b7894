// HTTP requests to the service. Frames are sent as bare bytes, or as a form for the exam report; never with file names.

const MAX_ATTEMPTS = 30; // while the service is busy, each after the pause of its Retry-After header
const MAX_PAUSE_S = 60;
const NOT_READ = new Set([0, 401, 408, 429, 502, 503, 504]);
const JSON_TYPE = "application/json";
const LINES = "application/x-ndjson";
const PICTURE = "image/jpeg";
const PAGE = "text/html";

// A request without an answer: the service's problem document, or a problem of the connection or the file.
export class Refusal extends Error {
  constructor({ status = 0, code = "", title, detail, requestId = "", pause = null }) {
    super(detail);
    Object.assign(this, { status, code, title, detail, requestId, pause });
  }

  // Whether the frame was not read: no connection, no key, a proxy or a busy service in between. Others are final.
  get worthRetrying() {
    return NOT_READ.has(this.status);
  }
}

export const stopped = () =>
  new Refusal({ code: "stopped", title: "Stopped", detail: "Classification was stopped before this frame." });

export const endedEarly = () =>
  new Refusal({ code: "cut-short", title: "Not classified", detail: "The service’s reply ended before this frame." });

const unreachable = () =>
  new Refusal({
    code: "unreachable",
    title: "No connection",
    detail: "The service cannot be reached. Check that it is running and that this computer is connected to it.",
  });

// Return the pause in seconds of a Retry-After header, which holds seconds or a date (RFC 9110, section 10.2.3).
export function parseRetryAfter(header, now = Date.now()) {
  const seconds = /^\s*\d+\s*$/.test(header ?? "") ? Number(header) : (Date.parse(header ?? "") - now) / 1000;
  return Number.isFinite(seconds) ? Math.min(MAX_PAUSE_S, Math.max(0, seconds)) : 1;
}

// Convert a problem document (RFC 9457), from a reply or from a line of a batch reply.
export function toRefusal(problem, status = problem.status) {
  return new Refusal({
    status,
    code: problem.code ?? "",
    title: problem.title ?? `Refused (${status})`,
    detail: problem.detail ?? "The service gave no reason.",
    requestId: problem.request_id ?? "",
  });
}

async function readRefusal(reply) {
  const refusal = toRefusal(await reply.json().catch(() => ({})), reply.status);
  if (reply.status === 503) refusal.pause = parseRetryAfter(reply.headers.get("Retry-After"));
  return refusal;
}

// Sends requests. While the service is busy, all requests wait for the pause that it asks for.
export class Service extends EventTarget {
  #retryAt = 0;
  #key = null; // in memory only

  useKey(key) {
    this.#key = key;
  }

  get busyFor() {
    return Math.max(0, this.#retryAt - Date.now()) / 1000;
  }

  model(signal) {
    return this.#request("model", { signal });
  }

  health(signal) {
    return this.#request("health", { signal });
  }

  interface() {
    return this.#request("openapi.json", {});
  }

  // The drawn example files, as if they were chosen.
  async samples() {
    const list = await this.#request("sample", {});
    const read = async ({ name, media_type: type }) => {
      const reply = await this.#request(`sample/${name}`, { accept: type });
      return new File([await reply.blob()], name, { type });
    };
    return Promise.all(list.map(read));
  }

  classify(file, query, signal) {
    return this.#request("classify", { query, body: file, signal });
  }

  explain(file, query, signal) {
    return this.#request("explain", { query: { ...query, overlay: false }, body: file, signal });
  }

  // Classify all frames of a file in one upload; yields one line per frame, then a summary.
  async *classifyCine(file, query, signal) {
    const reply = await this.#request("classify/batch", { query, body: file, signal, accept: LINES });
    let rest = "";
    for await (const text of reply.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  }

  // A frame and up to `most` - 1 following ones, as one picture, for files that the browser cannot decode.
  async pictures(file, index, most, signal) {
    const reply = await this.#request("frame", { query: { frame: index, count: most }, body: file, signal, accept: PICTURE });
    return { blob: await reply.blob(), frames: Number(reply.headers.get("X-Frames")) };
  }

  // The exam report of these files, as HTML text.
  async report(files, query) {
    const body = new FormData();
    for (const { file, name } of files) body.append("files", file, name);
    const reply = await this.#request("exam", { query, body, accept: PAGE });
    return reply.text();
  }

  async #request(path, { query = {}, body = null, signal, accept = JSON_TYPE }) {
    for (let attempt = 1; ; attempt += 1) {
      await this.#waitUntilReady(signal);
      try {
        return await this.#send(path, { query, body, signal, accept });
      } catch (refusal) {
        if (refusal.pause === null || refusal.pause === undefined || attempt === MAX_ATTEMPTS) throw refusal;
        this.#pause(refusal.pause);
      }
    }
  }

  async #send(path, { query, body, signal, accept }) {
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
      throw await readable(body) ? unreachable() : fileUnreadable();
    }
    if (!reply.ok) throw await readRefusal(reply);
    return accept === JSON_TYPE ? reply.json() : reply;
  }

  #pause(seconds) {
    const until = Date.now() + Math.max(0.2, seconds) * 1000;
    if (until > this.#retryAt) {
      this.#retryAt = until;
      this.dispatchEvent(new Event("busy"));
    }
  }

  async #waitUntilReady(signal) {
    while (this.busyFor > 0) {
      // Random jitter, so that waiting requests do not all arrive at once.
      await new Promise((resolve) => setTimeout(resolve, this.busyFor * 1000 + Math.random() * 150));
      if (signal?.aborted) throw stopped();
    }
  }
}

// A file that was moved or changed since it was chosen fails like a lost connection. Reading a byte distinguishes them.
async function readable(file) {
  if (!(file instanceof Blob)) return true;
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

const fileUnreadable = () =>
  new Refusal({
    code: "unreadable-file",
    title: "File not readable",
    detail: "The browser can no longer read this file. It may have been moved or changed. Add it again.",
  });
