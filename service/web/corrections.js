// Send what a person says of frames to the service, if its operator keeps it: soon, together, and again until it is kept.

import { byId, setText } from "./dom.js";
import { announce } from "./progress.js";
import { corrected, namedPlane, verdictOf } from "./review.js";
import { sha256 } from "./sha256.js";

const SETTLE_MS = 2000; // a review that is taken back sooner is never sent
const MOST = 200; // of one request; the service takes 1000
const KEEPS = "The service keeps what you say of a frame: a digest of the file, the answer, your verdict, machine and protocol, " +
  "and patient and study as keyed hashes; never the file’s name.";
const KEEPS_FRAMES = " It also keeps the insonated sector of each frame that you give a plane.";

export class Corrections {
  #due = new Map(); // {item, index} by key: reviewed, not kept yet
  #kept = new Map(); // what the service keeps, by key
  #takenBack = new Set(); // keys of reviews that were taken back after the service had kept them
  #timer = 0;
  #sending = false;
  #problem = "";
  #frames = false; // whether the service keeps frames, too
  #withoutFrame = 0; // kept reviews whose frames the service did not keep

  // `protocol` returns the one that is chosen.
  constructor(session, service, protocol) {
    Object.assign(this, { session, service, protocol, on: false });
    session.addEventListener("review", ({ detail: { item, index } }) => this.#add(item, index));
    session.addEventListener("item", () => !this.#problem && this.#ready().length && this.#schedule()); // an answer may have come
    byId("review-send").addEventListener("click", () => this.#send());
  }

  // Whether the service keeps corrections, and frames; reviews of before are sent, too.
  start(on, frames) {
    this.on = on;
    this.#frames = frames;
    setText(byId("keeps"), on ? `${KEEPS}${frames ? KEEPS_FRAMES : ""}` : "");
    if (on) for (const item of this.session.items) for (const index of item.reviews.keys()) this.#add(item, index);
    this.#show();
  }

  #add(item, index) {
    if (!this.on) return;
    this.#due.set(`${item.content.id}:${index}`, { item, index });
    this.#schedule();
    this.#show();
  }

  #schedule() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), SETTLE_MS);
  }

  // Reviews with an answer, as [key, {item, index}].
  #ready() {
    return [...this.#due].filter(([, { item, index }]) => item.reviews.has(index) && item.results.get(index)?.answer);
  }

  async #send() {
    if (this.#sending || !this.on) return;
    this.#sending = true;
    this.#drop();
    try {
      for (let ready = this.#ready(); ready.length; ready = this.#ready()) await this.#post(ready.slice(0, MOST));
      this.#problem = "";
    } catch (refusal) {
      const before = this.#problem;
      this.#problem = refusal.detail ?? "a file cannot be read any more.";
      if (!before) announce(`Not kept: ${this.#problem}`);
    }
    this.#sending = false;
    if (!this.#due.size && !this.#takenBack.size) this.session.unsavedReviews = false;
    this.#show();
  }

  // Forget what was taken back before it was sent.
  #drop() {
    for (const [key, { item, index }] of this.#due) {
      if (item.reviews.has(index)) {
        this.#takenBack.delete(key);
        continue;
      }
      this.#due.delete(key);
      if (this.#kept.has(key)) this.#takenBack.add(key);
    }
  }

  async #post(ready) {
    const reviews = ready.map(([key, { item, index }]) => ({ key, item, index, review: item.reviews.get(index) }));
    const texts = await Promise.all(reviews.map((each) => this.#correction(each)));
    const news = reviews.map((each, number) => ({ ...each, text: texts[number] })).filter(({ key, text }) => this.#kept.get(key) !== text);
    const { ids } = news.length ? await this.service.keep(`{"corrections":[${news.map(({ text }) => text).join(",")}]}`) : {};
    for (const [number, { key, item, index, review }] of reviews.entries()) {
      this.#kept.set(key, texts[number]);
      if (item.reviews.get(index) === review) this.#due.delete(key); // else it was reviewed again in the meantime
    }
    this.#show();
    if (this.#frames) await this.#keepFrames(news, ids);
  }

  // Send the files of frames with a plane. The service refuses those without a sector, and those beyond its quota.
  async #keepFrames(news, ids = []) {
    for (const [number, { item, review }] of news.entries()) {
      if (!review.plane) continue;
      await this.service.keepFrame(ids[number], item.file).catch(() => {
        this.#withoutFrame += 1;
      });
    }
  }

  // The JSON of a correction.
  async #correction({ item, index, review }) {
    const { answer } = item.results.get(index);
    item.digest ??= await sha256(item.file);
    // The store has the most probable plane of each answer: who finds none where the model names none rejects that one.
    const verdict = review.plane ? verdictOf(answer, review) : "rejected";
    const { predictions: [{ plane }], sub_plane: subPlane, abstain } = corrected(answer, review);
    const [first] = answer.predictions;
    const { name, version } = this.protocol();
    return JSON.stringify({
      digest: item.digest, frame: index, model: answer.model, verdict,
      answer: {
        plane: first.plane, sub_plane: answer.sub_plane?.plane ?? null, abstain_reason: answer.abstain_reason,
        probability: namedPlane(answer)?.probability ?? null,
      },
      plane: abstain ? null : plane, sub_plane: abstain ? null : subPlane?.plane ?? null,
      study: item.study || null, patient: item.patientId || null, machine: item.machine || null, protocol: `${name} ${version}`.slice(0, 128),
    });
  }

  #show() {
    byId("review-send").hidden = !this.#problem;
    const due = this.#ready().length;
    const [kept, back] = [this.#kept.size - this.#takenBack.size, this.#takenBack.size];
    const parts = [
      `${kept} kept by the service.`, due && `${due} not kept yet.`,
      back && `${back} taken back here, but still kept: the service forgets nothing that it was sent.`,
      this.#withoutFrame && `${this.#withoutFrame} of them without the picture.`,
      this.#problem && `Not kept: ${this.#problem}`,
    ];
    setText(byId("review-kept"), this.on ? parts.filter(Boolean).join(" ") : "This service keeps no reviews: save them.");
  }
}
