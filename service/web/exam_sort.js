// Sort an exam by the rules of service/analysis/exam/reader.py, from the answers on this page.

import { originalsOf } from "./outcome.js";
import { candidateOf, checkItems } from "./protocol.js";
import { countedAnswer, doubtOf, isClose } from "./review.js";
import { percent } from "./text.js";

// Return the exam: the checked items of its `protocol`; `groups` of frames by plane, the chosen or most probable one first;
// frames to `check`, `refused` ones and those with `noPlane`, as a person says; `left` of `total` files that are not read to
// their end. A frame that a person reviewed counts as the person says. Loops count once they are read whole, and files with
// the same bytes once: `duplicates` are the others, as a map to the file that counts.
export function sortExam(all, choices, planes, protocol) {
  const duplicates = originalsOf(all);
  const items = all.filter((item) => !duplicates.has(item));
  const left = items.filter((item) => item.unread).length;
  const found = items.flatMap(framesFound);
  const groups = planes.map((plane) => {
    const frames = order(found.filter(({ answer }) => answer.predictions[0].plane === plane.id), choices.get(plane.id));
    return { plane, frames, chosen: frames[0]?.chosen ?? false };
  });
  const chosen = new Set(groups.flatMap(({ frames: [first] }) => (first?.chosen ? [`${first.item.id}-${first.index}`] : [])));
  const candidates = all.flatMap((item, rank) => (duplicates.has(item) ? [] : candidatesIn(item, rank, chosen)));
  return {
    protocol, checked: checkItems(protocol.items, candidates, left), groups, check: items.flatMap(toCheck), noPlane: items.flatMap(withoutPlane),
    refused: items.flatMap(refusedIn), duplicates, items: all, left, total: items.length,
  };
}

// Labels of the required items in one state.
export const inState = ({ checked }, state) => checked.filter((item) => !item.optional && item.state === state).map(({ label }) => label);

function candidatesIn(item, rank, chosen) {
  const frames = [...framesFound(item), ...stills(item).filter(({ answer }) => answer.abstain)];
  return frames.flatMap(({ index, answer }) => {
    const close = item.count === 1 && isClose(answer) && !chosen.has(`${item.id}-${index}`);
    const candidate = candidateOf(answer, close);
    return candidate ? [{ item, index, rank, ...candidate }] : [];
  });
}

// A still; of a loop the most probable frame of each plane, and those that a person reviewed.
function frames(item) {
  const best = item.count === 1 ? [0] : (item.cine?.best ?? []).map(({ frame }) => frame);
  return [...new Set([...best, ...item.reviews.keys()])]
    .map((index) => ({ item, index, answer: countedAnswer(item, index) }))
    .filter(({ answer }) => answer);
}

const stills = (item) => (item.count === 1 ? frames(item) : []);
const framesFound = (item) => frames(item).filter(({ answer }) => !answer.abstain);
const withoutPlane = (item) => frames(item).filter(({ answer: { correction, abstain } }) => correction && abstain);

// Sort frames of one plane, the most probable first, and mark those that show the same percentage; then put the chosen one first.
function order(frames, choice) {
  const probability = ({ answer }) => answer.predictions[0].probability;
  const sorted = frames.toSorted((a, b) => probability(b) - probability(a));
  const shown = sorted.map((frame) => percent(probability(frame)));
  const several = shown[1] === shown[0];
  const marked = sorted.map((frame, rank) => ({
    ...frame,
    tied: several && shown[rank] === shown[0],
    chosen: frame.item === choice?.item && frame.index === choice?.index,
  }));
  return marked.toSorted((a, b) => b.chosen - a.chosen);
}

function toCheck(item) {
  if (item.cine) return item.cine.frames && !item.cine.best.length && !item.reviews.size ? [{ item, index: 0, reason: "no-plane" }] : [];
  return stills(item)
    .filter(({ answer }) => !answer.correction)
    .map(({ answer, ...frame }) => ({ ...frame, reason: doubtOf(answer) }))
    .filter(({ reason }) => reason);
}

function refusedIn(item) {
  const refused = [...item.results].filter(([, { state, refusal }]) => state === "refused" && !refusal.worthRetrying);
  return refused.map(([index]) => ({ item, index })).sort((a, b) => a.index - b.index);
}
