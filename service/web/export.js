// Export the answers: JSON with the service's replies, or CSV for a spreadsheet.

import { h } from "./dom.js";

export function asJson(items, model, exam) {
  const frames = items.flatMap((item) =>
    [...item.results]
      .filter(([, { state }]) => state === "answered" || state === "refused")
      .sort(([a], [b]) => a - b)
      .map(([index, { answer, refusal }]) =>
        answer ? { file: item.name, ...answer } : { file: item.name, frame: { index }, problem: problemOf(refusal) }));
  const numbering = "Frames are numbered from 0; the page numbers them from 1.";
  return JSON.stringify({ model: { name: model.name, version: model.version }, numbering, exam: examOf(items, exam), frames }, null, 2);
}

// The exam in the words of `/exam`.
function examOf(items, { groups, left, total }) {
  const ids = (state) => groups.filter((group) => group.expected && group.state === state).map(({ plane }) => plane.id);
  return {
    files: total - left, files_left: left, complete: !left, not_read: items.filter((item) => item.unread).map(({ name }) => name),
    missing: ids("not-found"), not_read_yet: ids("not-read-yet"),
    planes: groups.map(({ plane, state, chosen, expected, frames }) => ({
      plane: plane.id, label: plane.label, expected, state, chosen, best: frames.length ? frameOf(frames[0]) : null, frames: frames.map(frameOf),
    })),
  };
}

const frameOf = ({ item, index, answer, tied }) => ({ file: item.name, frame: index, probability: answer.predictions[0].probability, tied });

const problemOf = ({ status, code, title, detail, requestId }) => ({ status, code, title, detail, request_id: requestId });

export function asCsv(items, model, { groups }) {
  const head = [
    "file", "frame", "plane", "label", "probability", "second_plane", "second_probability", "sub_plane",
    "sub_plane_probability", "abstain", "abstain_reason",
    "problem", "detail", "width", "height", "model", "model_version", "model_sha256", "request_id", "best",
    ...model.planes.map(({ id }) => `p_${id}`),
  ];
  const isBest = (item, index) => groups.some(({ frames: [first] }) => first?.item === item && first.index === index);
  const lines = items.flatMap((item) => [
    ...[...item.results]
      .sort(([a], [b]) => a - b)
      .flatMap(([index, result]) => (result.answer ? [answerLine(item, result.answer, model, isBest(item, index))]
        : result.refusal ? [refusalLine(item, index, result.refusal, model)] : [])),
    ...(item.unread ? [refusalLine(item, "", NOT_READ, model)] : []),
  ]);
  const table = [head, ...lines].map((line) => `${line.map(cell).join(",")}\r\n`);
  return `\uFEFF${table.join("")}`; // the byte order mark tells a spreadsheet that the file is UTF-8
}

const NOT_READ = { code: "not-read-yet", detail: "This file is not read to its end." };

function answerLine(item, answer, { planes }, isBest) {
  const { predictions, sub_plane: subPlane, abstain, abstain_reason: reason, frame, model, request_id: id } = answer;
  const [first, second] = abstain ? [] : predictions;
  return [
    item.name, frame.index, first?.plane, first?.label, first?.probability, second?.plane, second?.probability,
    subPlane?.plane, subPlane?.probability, abstain, reason, "", "", frame.width, frame.height, model.name, model.version, model.sha256, id, isBest,
    ...planes.map((plane) => predictions.find((each) => each.plane === plane.id)?.probability),
  ];
}

function refusalLine(item, index, { code, detail, requestId }, { planes }) {
  const blank = (count) => Array(count).fill("");
  return [item.name, index, ...blank(9), code, detail, ...blank(5), requestId, "", ...blank(planes.length)];
}

// Escape a cell. A leading apostrophe keeps a spreadsheet from running a file name as a formula (OWASP, CSV injection).
function cell(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[\s"']*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function save(text, type, name) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
