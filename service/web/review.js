// What a person says of a frame, next to what the model said: IHE's words for the assessment of a result, `accepted`,
// `rejected` (it shows no plane) and `supplemented` (another plane or sub-plane). service/analysis/exam/corrections.py has the same rules.

import { CLOSE, hasGuess, percent, REASONS } from "./text.js";

// A review is {plane, subPlane}: `plane` {id, label}, or null for no plane; `subPlane` {plane, label}, null for none of them,
// or undefined if the person said nothing of it. It can be given before the model has answered.
export const NO_PLANE = { plane: null, subPlane: null };

// The plane that the model names or guesses, or null.
export const namedPlane = (answer) => (hasGuess(answer) ? answer.predictions[0] : null);

export function verdictOf(answer, { plane, subPlane }) {
  const named = namedPlane(answer);
  if (!plane) return named ? "rejected" : "accepted";
  if (named?.plane !== plane.id) return "supplemented";
  return subPlane === undefined || (subPlane?.plane ?? null) === (answer.sub_plane?.plane ?? null) ? "accepted" : "supplemented";
}

// The review that confirms an answer.
export function confirming(answer) {
  const named = namedPlane(answer);
  return named ? { plane: { id: named.plane, label: named.label }, subPlane: undefined } : NO_PLANE;
}

// Return the answer as it counts after a review: with the person's plane, without doubt, and with `correction`, which holds
// the verdict and what the model said. Its probability is what the model gave for the plane.
export function corrected(answer, review) {
  if (!review) return answer;
  const verdict = verdictOf(answer, review);
  const { plane, subPlane } = review;
  const correction = { verdict, answer };
  if (!plane) return { ...answer, abstain: true, abstain_reason: "no-plane", sub_plane: null, sub_plane_reason: null, correction };
  const probability = answer.predictions.find((each) => each.plane === plane.id)?.probability ?? 0;
  const own = verdict === "accepted" ? answer.sub_plane : subPlane ? { plane: subPlane.plane, label: subPlane.label, probability: 1 } : null;
  return {
    ...answer, abstain: false, abstain_reason: null, predictions: [{ plane: plane.id, label: plane.label, probability }],
    sub_plane: own, sub_plane_reason: verdict === "accepted" ? answer.sub_plane_reason : null, correction,
  };
}

// The answer of a frame as it counts; undefined without one.
export function countedAnswer(item, index) {
  const { answer } = item.results.get(index) ?? {};
  return answer && corrected(answer, item.reviews.get(index));
}

export const isClose = ({ predictions: [first, second] }) => second && first.probability - second.probability < CLOSE;

// Why a person should look at an answer first, or null.
export const doubtOf = (answer) => answer.abstain_reason ?? (isClose(answer) ? "close" : null);

// The frames of a file that a person should review and has not: a still; of a loop the most probable frame of each plane, or
// its first frame where no frame was reviewed.
export function openFrames(item) {
  if (item.unread) return [];
  if (item.count === 1) return item.answers.map(([index]) => index).filter((index) => !item.reviews.has(index));
  const best = (item.cine?.best ?? []).map(({ frame }) => frame).sort((a, b) => a - b);
  if (best.length) return best.filter((index) => !item.reviews.has(index));
  return item.cine?.frames && !item.reviews.size ? [item.answers[0]?.[0] ?? 0] : [];
}

// Why a person should review a file, in words.
export function openReason(item) {
  const [index] = openFrames(item);
  if (index === undefined) return "";
  if (item.count > 1 && !item.cine.best.length) return REASONS["no-plane"];
  return REASONS[doubtOf(item.results.get(index)?.answer ?? {})] ?? "Not reviewed yet";
}

// The reviewed frames of a file that have an answer: {index, answer, review, verdict, counted}.
export function reviewsOf(item) {
  return [...item.reviews].sort(([a], [b]) => a - b).flatMap(([index, review]) => {
    const { answer } = item.results.get(index) ?? {};
    return answer ? [{ index, answer, review, verdict: verdictOf(answer, review), counted: corrected(answer, review) }] : [];
  });
}

const WORDS = { accepted: "confirmed", rejected: "rejected", supplemented: "corrected" };

// A review in one word: "confirmed".
export const wordOf = (verdict) => WORDS[verdict];

// What the person says a frame shows: "Fetal brain, Trans-thalamic".
export function reviewText({ plane, subPlane }) {
  if (!plane) return "No plane";
  return subPlane ? `${plane.label}, ${subPlane.label}` : plane.label;
}

// What the model said of a frame.
export function modelText(answer) {
  const [first] = answer.predictions;
  if (!answer.abstain) return `${[first.label, answer.sub_plane?.label].filter(Boolean).join(", ")}, ${percent(first.probability)}`;
  return hasGuess(answer) ? `${REASONS[answer.abstain_reason]}, perhaps ${first.label}` : REASONS[answer.abstain_reason];
}
