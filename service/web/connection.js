// Sends requests, and waits while the service is busy or cannot be reached.

import { fileUnreadable, readRefusal, stopped, unreachable } from "./refusal.js";

const MAX_LOST_PAUSE_S = 5; // between attempts to reach a service that does not answer
const PROBE_S = 10; // until an attempt is given up
const MAX_CUTS = 3; // connections lost during one request, with others answered in between: its file may be the cause
const JSON_TYPE = "application/json";

// While the service is busy or lost, all requests wait: for the pause that it asks for, or until it answers again.
// Events: `busy` when a pause begins, `lost` and `back` for the connection.
export class Connection extends EventTarget {
  #retryAt = 0;
  #key = null; // in memory only
  #connections = 0; // how often the service came back
  lost = false;

  useKey(key) {
    this.#key = key;
  }

  get busyFor() {
    return Math.max(0, this.#retryAt - Date.now()) / 1000;
  }

  // Return what `read` makes of the reply. `signal` ends the request; `wait` ends only a wait for the service.
  async request(path, { query = {}, body = null, type = "", signal, wait = signal, accept = JSON_TYPE, read = (reply) => reply.json() }) {
    const cuts = new Set();
    for (;;) {
      await this.#waitUntilReady(signal, wait);
      try {
        return await read(await this.#send(path, { query, body, type, signal, accept }));
      } catch (error) {
        if (signal?.aborted) throw stopped();
        if (isLost(error)) {
          if (cuts.add(this.#connections).size > MAX_CUTS) throw error instanceof TypeError ? unreachable() : error;
          this.lose();
        } else if (error.pause === null || error.pause === undefined) throw error;
        else this.#pause(error.pause);
      }
    }
  }

  // The connection is lost: hold all requests, and ask until the service answers.
  async lose() {
    if (this.lost) return;
    this.lost = true;
    this.dispatchEvent(new Event("lost"));
    for (let seconds = 1, reply = null; !reply || isGateway(reply); seconds = Math.min(MAX_LOST_PAUSE_S, seconds + 1)) {
      this.#pause(seconds);
      await pause(seconds * 1000);
      reply = await fetch("health", { signal: AbortSignal.timeout(PROBE_S * 1000) }).catch(() => null);
    }
    this.lost = false;
    this.#connections += 1;
    this.dispatchEvent(new Event("back"));
  }

  async #send(path, { query, body, type, signal, accept }) {
    const headers = {
      Accept: accept,
      ...(body instanceof Blob && { "Content-Type": "application/octet-stream" }),
      ...(type && { "Content-Type": type }),
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
    return reply;
  }

  #pause(seconds) {
    const until = Date.now() + Math.max(0.2, seconds) * 1000;
    if (until > this.#retryAt) {
      this.#retryAt = until;
      this.dispatchEvent(new Event("busy"));
    }
  }

  async #waitUntilReady(...signals) {
    const ended = AbortSignal.any(signals.filter(Boolean));
    while ((this.lost || this.busyFor > 0) && !ended.aborted) {
      // Random jitter, so that waiting requests do not all arrive at once.
      await pause(this.busyFor * 1000 + 50 + Math.random() * 150, ended);
    }
    if (ended.aborted) throw stopped();
  }
}

// The reply of a gateway in front of a service that is down.
const isGateway = ({ status, code }) => status === 502 && !code;

// No reply, one that was cut off (`fetch` throws a TypeError), or a gateway's.
const isLost = (error) => error instanceof TypeError || error.code === "unreachable" || isGateway(error);

// Wait, until `signal` ends it.
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}

// A file that was moved or changed since it was chosen fails like a lost connection. Reading a byte distinguishes them.
async function readable(file) {
  if (!(file instanceof Blob)) return true;
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}
