// Export the answers: JSON with the service's replies, or CSV for a spreadsheet.

import { h } from "./dom.js";
import { reviewsOf } from "./review.js";

// Save the answers of a sorted exam as "json" or "csv"; the name says what they are a `part` of, and if they are unfinished.
export function saveAnswers(kind, sorted, model, part) {
  const texts = { json: [asJson, "application/json"], csv: [asCsv, "text/csv;charset=utf-8"] };
  const [write, type] = texts[kind];
  save(write(model, sorted), type, `fetal-planes${part}${sorted.left ? "-unfinished" : ""}.${kind}`);
}

function asJson(model, exam) {
  const frames = exam.items.flatMap((item) =>
    [...item.results]
      .filter(([, { state }]) => state === "answered" || state === "refused")
      .sort(([a], [b]) => a - b)
      .map(([index, { answer, refusal }]) =>
        answer ? { file: item.name, ...answer, correction: correctionOf(item, index) } : { file: item.name, frame: { index }, problem: problemOf(refusal) }));
  const numbering = "Frames are numbered from 0; the page numbers them from 1.";
  return JSON.stringify({ model: { name: model.name, version: model.version }, numbering, exam: examOf(exam), frames }, null, 2);
}

// The exam in the words of `/exam`.
function examOf({ protocol: { items: _, ...protocol }, checked, groups, noPlane, left, total, items, duplicates }) {
  return {
    files: total - left, files_left: left, complete: !left, not_read: items.filter((item) => item.unread && !duplicates.has(item)).map(({ name }) => name),
    duplicates: [...duplicates].map(([{ name }, original]) => ({ file: name, same_as: original.name })),
    protocol, without_plane: noPlane.map(({ item, index, answer }) => ({ file: item.name, frame: index, verdict: answer.correction.verdict })),
    items: checked.map((each) => ({ ...each, frames: each.frames.map(itemFrame), doubtful: each.doubtful.map(itemFrame) })),
    planes: groups.map(({ plane, chosen, frames }) => ({
      plane: plane.id, label: plane.label, chosen, best: frames.length ? frameOf(frames[0]) : null, frames: frames.map(frameOf),
    })),
  };
}

// A person's review of a frame, next to the model's answer; null without one.
function correctionOf(item, index) {
  if (!item.reviews.has(index)) return null;
  const { verdict, counted } = reviewsOf(item).find((each) => each.index === index) ?? {};
  return verdict ? { verdict, plane: counted.abstain ? null : counted.predictions[0].plane, sub_plane: counted.sub_plane?.plane ?? null } : null;
}

const frameOf = ({ item, index, answer, tied }) => ({
  file: item.name, frame: index, probability: answer.predictions[0].probability, tied, verdict: answer.correction?.verdict ?? null,
});

const itemFrame = ({ item, index, plane, subPlane, probability, doubt }) => ({
  file: item.name, frame: index, plane, sub_plane: subPlane, probability, doubt,
});

const problemOf = ({ status, code, title, detail, requestId }) => ({ status, code, title, detail, request_id: requestId });

function asCsv(model, { groups, items, duplicates }) {
  const head = [
    "file", "frame", "seconds", "plane", "label", "probability", "second_plane", "second_probability", "sub_plane",
    "sub_plane_probability", "abstain", "abstain_reason",
    "problem", "detail", "width", "height", "model", "model_version", "model_sha256", "model_precision", "request_id",
    "best", "duplicate_of",
    "verdict", "corrected_plane", "corrected_sub_plane",
    ...model.planes.map(({ id }) => `p_${id}`),
  ];
  const isBest = (item, index) => groups.some(({ frames: [first] }) => first?.item === item && first.index === index);
  const lines = items.flatMap((item) => [
    ...[...item.results]
      .sort(([a], [b]) => a - b)
      .flatMap(([index, { answer, refusal }]) => (answer ? [answerLine(item, answer, model, isBest(item, index), duplicates)]
        : refusal && !refusal.worthRetrying ? [refusalLine(item, index, refusal, model, duplicates)] : [])),
    ...(item.unread ? [refusalLine(item, "", NOT_READ, model, duplicates)] : []),
  ]);
  const table = [head, ...lines].map((line) => `${line.map(cell).join(",")}\r\n`);
  return `\uFEFF${table.join("")}`; // the byte order mark tells a spreadsheet that the file is UTF-8
}

const NOT_READ = { code: "not-read-yet", detail: "This file is not read to its end." };

function answerLine(item, answer, { planes }, isBest, duplicates) {
  const { predictions, sub_plane: subPlane, abstain, abstain_reason: reason, frame, model, request_id: id } = answer;
  const [first, second] = abstain ? [] : predictions;
  return [
    item.name, frame.index, frame.seconds, first?.plane, first?.label, first?.probability, second?.plane, second?.probability,
    subPlane?.plane, subPlane?.probability, abstain, reason, "", "", frame.width, frame.height,
    model.name, model.version, model.sha256, model.precision, id, isBest,
    duplicates.get(item)?.name, ...Object.values(correctionOf(item, frame.index) ?? { verdict: "", plane: "", sub_plane: "" }),
    ...planes.map((plane) => predictions.find((each) => each.plane === plane.id)?.probability),
  ];
}

function refusalLine(item, index, { code, detail, requestId }, { planes }, duplicates) {
  const blank = (count) => Array(count).fill("");
  return [item.name, index, ...blank(10), code, detail, ...blank(6), requestId, "", duplicates.get(item)?.name, ...blank(3 + planes.length)];
}

// Escape a cell. A leading apostrophe keeps a spreadsheet from running a file name as a formula (OWASP, CSV injection).
export function cell(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[\s"']*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function save(content, type, name) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
