// What became of each file: read, not sure, not readable, not read yet, or a duplicate. The summary counts these kinds.

import { openFrames, openReason, reviewsOf } from "./review.js";
import { plural, REASONS } from "./text.js";

// Whether a frame waits for its answer.
export const isOpen = (result) => result?.state === "waiting" || result?.state === "running";

// The kinds in the order of the summary. A file can be of several: one that is not sure was read, too.
export const KINDS = {
  read: { matches: (item) => !item.unread && !isRefused(item), text: (count) => `${count} read` },
  "not-sure": { matches: (item) => !item.unread && isUnsure(item), text: (count) => `${count} not sure` },
  "to-review": { matches: (item, originals) => !originals.has(item) && openFrames(item).length > 0, text: (count) => `${count} to review` },
  corrected: { matches: (item, originals) => !originals.has(item) && isCorrected(item), text: (count) => `${count} corrected` },
  refused: { matches: (item) => !item.unread && isRefused(item), text: (count) => `${count} could not be read` },
  unread: { matches: (item) => item.unread, text: (count) => `${count} not read yet` },
  duplicate: { matches: (item, originals) => originals.has(item), text: (count) => plural(count, "duplicate") },
};

const isRefused = (item) => (item.count > 1 ? item.failed : item.results.get(0)?.state === "refused");

const isUnsure = (item) => (item.count > 1 ? Boolean(item.cine?.frames && !item.cine.best.length) : item.answers.some(([, { abstain }]) => abstain));

const isCorrected = (item) => reviewsOf(item).some(({ verdict }) => verdict !== "accepted");

// How many of the files to review are doubtful, and why, in words; the others are only not reviewed yet.
export function reviewReasons(items) {
  const reasons = ofKind(items, "to-review").map(openReason);
  return [...Object.values(REASONS), "Not reviewed yet"]
    .map((reason) => [reasons.filter((each) => each === reason).length, reason])
    .filter(([count]) => count).map(([count, reason]) => `${count} ${reason.toLowerCase()}`).join(", ");
}

// Duplicates with their original: of files with the same bytes, the first one that was read counts.
export function originalsOf(items) {
  const first = new Map();
  for (const item of items) {
    const known = first.get(item.content);
    if (!known || (known.unread && !item.unread)) first.set(item.content, item);
  }
  return new Map(items.filter((item) => first.get(item.content) !== item).map((item) => [item, first.get(item.content)]));
}

// Files of a kind; all for null.
export function ofKind(items, kind) {
  const originals = originalsOf(items);
  return kind ? items.filter((item) => KINDS[kind].matches(item, originals)) : items;
}

// Whether leaving the page would lose work: files that are being read or left unread, or choices and reviews that nothing keeps. A
// loop counts once a person, or the exam, has asked for all of it.
export function isUnfinished({ items, unsavedChoices, unsavedReviews }) {
  const wanted = (item) => item.count === 1 || item.asked || item.reading;
  return unsavedChoices || unsavedReviews || items.some((item) => item.unread && wanted(item));
}
