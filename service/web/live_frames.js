// What the live frames show together: the smoothed plane, a freeze, and the best frames of each item of the protocol.

import { RADIUS, readCine } from "./cine_reader.js";
import { candidateOf, fit } from "./protocol.js";
import { CLOSE } from "./text.js";

const HISTORY = 150; // frames that are read together; older ones have had their say
const APART_MS = 1500; // frames of one item that are closer compete; others count one by one
const STILL = 0.7; // gray levels; less motion than speckle and a probe at rest make
const FREEZE_MS = 700;
const GAP_MS = 3000; // without an answer: a hidden tab, a computer that slept, a service that was busy
const MAX_BY_HAND = 200;

export class LiveFrames {
  #history = []; // {probabilities, votes, signature, answer, blob, time, at}
  #stillSince = null;
  #pending = []; // frames for items, until the layout is confirmed: in another layout, the crop was wrong
  kept = new Map(); // by number of the item: its best frames
  byHand = []; // frames that a person kept, in their order

  constructor(planes, items) {
    Object.assign(this, { planes, items, frozen: false });
  }

  // Forget the neighborhood: the crop or the source is another one. What was kept stays.
  cut() {
    this.#history = [];
    this.#stillSince = null;
    this.frozen = false;
    this.doubt();
  }

  // The layout is still the same: the frames since the last look count.
  confirm() {
    for (const [number, found] of this.#pending) this.#offer(number, this.items[number].min, found);
    this.#pending = [];
  }

  // The layout may have changed: frames since the last look may have a wrong crop.
  doubt() {
    this.#pending = [];
  }

  // Take the next answer. Returns what to show: {kind, plane, label, certainty, reason}.
  add({ answer, blob, signature, motion, time, at, whole }) {
    if (at - (this.#history.at(-1)?.at ?? at) > GAP_MS) this.cut();
    this.#noticeFreeze(motion, at);
    const probability = new Map(answer.predictions.map((each) => [each.plane, each.probability]));
    const probabilities = this.planes.map(({ id }) => probability.get(id) ?? 0);
    this.#history = [...this.#history, { probabilities, votes: !answer.abstain, signature, answer, blob, time, at, whole }].slice(-HISTORY);
    const cine = readCine(this.#history);
    this.#keepBest(cine, this.#history.length - 1 - RADIUS);
    return this.#state(cine, answer);
  }

  // The newest frame of the crop: what lies around it can name the patient.
  get newest() {
    return this.#history.findLast(({ whole }) => !whole) ?? null;
  }

  keep() {
    if (!this.newest || this.byHand.length >= MAX_BY_HAND) return false;
    this.byHand = [...this.byHand, this.newest];
    return true;
  }

  undo() {
    const last = this.byHand.at(-1);
    this.byHand = this.byHand.slice(0, -1);
    return Boolean(last);
  }

  // Each kept frame once, in the order of time, with the labels of its items.
  get all() {
    const frames = new Map();
    for (const [number, own] of this.kept) {
      for (const { frame } of own) frames.set(frame, [...(frames.get(frame) ?? []), this.items[number].label]);
    }
    for (const frame of this.byHand) frames.set(frame, [...(frames.get(frame) ?? []), "kept by hand"]);
    return [...frames].map(([frame, labels]) => ({ ...frame, labels })).sort((a, b) => a.at - b.at);
  }

  // A frame counts once its neighbors on both sides have confirmed it, as for the best frames of a loop.
  #keepBest({ planes, cuts }, at) {
    const frame = this.#history[at];
    if (!frame?.votes || frame.whole || this.planes[planes[at]]?.id !== frame.answer.predictions[0].plane) return;
    if (cuts.some((cut) => Math.abs(cut - at) <= RADIUS)) return; // frames of a cut can be mixtures
    const [first, second] = frame.answer.predictions;
    const candidate = candidateOf(frame.answer, first.probability - second.probability < CLOSE);
    this.items.forEach((item, number) => {
      const found = candidate && fit(item, candidate);
      if (found && !found.doubt && this.#agrees(at, found)) this.#pending.push([number, { frame, probability: found.probability }]);
    });
  }

  // Whether most neighbors show the same plane, and the same sub-plane if there is one.
  #agrees(at, { plane, subPlane }) {
    const near = this.#history.slice(at - RADIUS, at + RADIUS + 1);
    const same = near.filter(({ votes, answer }) => votes && answer.predictions[0].plane === plane && (!subPlane || answer.sub_plane?.plane === subPlane));
    return near.length === 2 * RADIUS + 1 && 2 * same.length > near.length;
  }

  #offer(number, least, found) {
    const own = this.kept.get(number) ?? [];
    const rival = own.find(({ frame }) => Math.abs(frame.at - found.frame.at) < APART_MS);
    if (rival && rival.probability >= found.probability) return;
    const next = [...own.filter((each) => each !== rival), found].sort((a, b) => b.probability - a.probability).slice(0, least);
    this.kept.set(number, next);
  }

  #noticeFreeze(motion, at) {
    if (motion > STILL) this.#stillSince = null;
    else this.#stillSince ??= at;
    this.frozen = this.#stillSince !== null && at - this.#stillSince >= FREEZE_MS;
  }

  #state({ planes, smoothed }, answer) {
    const at = Math.max(0, planes.length - 1);
    const plane = this.planes[planes[at]];
    if (plane && !answer.abstain) return { kind: "answered", key: plane.id, label: plane.label, certainty: smoothed[at][planes[at]] };
    const reason = answer.abstain_reason ?? "no-plane";
    return { kind: "abstained", key: reason, reason };
  }
}

// The items with their best frames and state, as the exam of the kept frames will have them.
export function liveItems({ items, kept }) {
  return items.map((item, number) => {
    const frames = kept.get(number) ?? [];
    return { ...item, frames, state: frames.length >= item.min ? "fulfilled" : "not-read-yet" };
  });
}

// Returns a function that says which state to show: a new one only after it has lasted, so that nothing flickers.
export function calm(holdMs = 350) {
  let [shown, next, since] = [null, null, 0];
  return (state, now) => {
    if (shown && state.key === shown.key) {
      next = null;
      const certainty = shown.certainty === undefined ? state.certainty : 0.8 * shown.certainty + 0.2 * state.certainty;
      shown = { ...state, certainty };
      return shown;
    }
    if (next?.key !== state.key) since = now;
    next = state;
    if (!shown || now - since >= holdMs) [shown, next] = [state, null];
    return shown;
  };
}
