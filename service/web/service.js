// The paths of the service. Frames are sent as bare bytes, or as a form for the exam report; never with file names.

import { Connection } from "./connection.js";
import { stopped } from "./refusal.js";
import { hex } from "./text.js";

const MAX_CUTS = 3; // replies about one loop that were cut off: its file may be the cause
const LINES = "application/x-ndjson";
const PICTURE = "image/jpeg";
const PAGE = "text/html";
const SALT_BYTES = 16;

export class Service extends Connection {
  keeps = false; // whether the service keeps corrections, which name their study and patient

  // Tells patients apart in this visit only.
  #salt = hex(crypto.getRandomValues(new Uint8Array(SALT_BYTES)));

  model(signal) {
    return this.request("model", { signal });
  }

  health(signal) {
    return this.request("health", { signal });
  }

  protocols() {
    return this.request("protocols", {});
  }

  interface() {
    return this.request("openapi.json", {});
  }

  // The drawn example files, as if they were chosen.
  async samples() {
    const list = await this.request("sample", {});
    const read = async ({ name, media_type: type }) => {
      const blob = await this.request(`sample/${name}`, { accept: type, read: (reply) => reply.blob() });
      return new File([blob], name, { type });
    };
    return Promise.all(list.map(read));
  }

  // Return the answer, and what the file states: `stated` {patient: its key, machine, study, patientId}. `wait` ends the wait
  // for a busy service.
  classify(file, query, signal, wait) {
    const salted = { ...query, patient_salt: this.#salt, ...(this.keeps && { identifiers: true }) };
    const read = async (reply) => {
      const text = (name) => decodeURIComponent(reply.headers.get(name) ?? "");
      const stated = { machine: text("X-Machine"), study: text("X-Study-Instance-UID"), patientId: text("X-Patient-ID") };
      return { answer: await reply.json(), stated: { patient: reply.headers.get("X-Patient-Key"), ...stated } };
    };
    return this.request("classify", { query: salted, body: file, signal, wait, read });
  }

  explain(file, query, signal) {
    return this.request("explain", { query: { ...query, overlay: false }, body: file, signal });
  }

  // Classify all frames of a file in one upload; yields one line per frame, then a summary. A reply that is cut off is
  // requested again, from its first line.
  async *classifyCine(file, query, signal) {
    for (let cuts = 0; cuts < MAX_CUTS; cuts += 1) {
      const reply = await this.request("classify/batch", { query, body: file, signal, accept: LINES, read: (reply) => reply });
      try {
        yield* linesOf(reply);
        return;
      } catch {
        if (signal.aborted) throw stopped();
        this.lose();
      }
    }
  }

  // A frame and up to `most` - 1 following ones, as one picture, for files that the browser cannot decode.
  pictures(file, index, most, signal) {
    const read = async (reply) => ({ blob: await reply.blob(), frames: Number(reply.headers.get("X-Frames")) });
    return this.request("frame", { query: { frame: index, count: most }, body: file, signal, accept: PICTURE, read });
  }

  // A frame in its own size, without loss.
  picture(file, index, signal) {
    return this.request("frame", { query: { frame: index }, body: file, signal, accept: "image/png", read: (reply) => reply.blob() });
  }

  // Have corrections kept: JSON text.
  keep(body) {
    return this.request("corrections", { body, type: "application/json" });
  }

  keepFrame(id, file) {
    return this.request(`corrections/${id}/frame`, { body: file });
  }

  // The exam report of these files, as HTML text.
  report(files, query) {
    const body = new FormData();
    for (const { file, name } of files) body.append("files", file, name);
    return this.request("exam", { query, body, accept: PAGE, read: (reply) => reply.text() });
  }
}

async function* linesOf(reply) {
  let rest = "";
  for await (const text of reply.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}
