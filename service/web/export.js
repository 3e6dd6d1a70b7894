// The answers as a file: JSON with the service's own replies, or a table for a spreadsheet.

import { h } from "./dom.js";

export function asJson(items, model) {
  const frames = items.flatMap((item) =>
    [...item.readings]
      .filter(([, { state }]) => state === "answered" || state === "refused")
      .sort(([a], [b]) => a - b)
      .map(([index, { answer, refusal }]) =>
        answer ? { file: item.name, ...answer } : { file: item.name, frame: { index }, problem: problemOf(refusal) }));
  return JSON.stringify({ model: { name: model.name, version: model.version }, frames }, null, 2);
}

const problemOf = ({ status, code, title, detail, requestId }) => ({ status, code, title, detail, request_id: requestId });

export function asCsv(items, model) {
  const head = [
    "file", "frame", "plane", "label", "probability", "second_plane", "second_probability", "sub_plane",
    "sub_plane_probability", "abstain", "abstain_reason",
    "problem", "detail", "width", "height", "model", "model_version", "model_sha256", "request_id",
    ...model.planes.map(({ id }) => `p_${id}`),
  ];
  const lines = items.flatMap((item) =>
    [...item.readings]
      .sort(([a], [b]) => a - b)
      .flatMap(([index, reading]) => (reading.answer ? [answerLine(item, reading.answer, model)]
        : reading.refusal ? [refusalLine(item, index, reading.refusal, model)] : [])));
  const table = [head, ...lines].map((line) => `${line.map(cell).join(",")}\r\n`);
  return `\uFEFF${table.join("")}`; // the mark tells a spreadsheet that this is UTF-8
}

function answerLine(item, answer, { planes }) {
  const { predictions, sub_plane: finer, abstain, abstain_reason: reason, frame, model, request_id: id } = answer;
  const [first, second] = predictions;
  return [
    item.name, frame.index, first.plane, first.label, first.probability, second?.plane, second?.probability,
    finer?.plane, finer?.probability, abstain, reason, "", "", frame.width, frame.height, model.name, model.version, model.sha256, id,
    ...planes.map((plane) => predictions.find((each) => each.plane === plane.id)?.probability),
  ];
}

function refusalLine(item, index, { code, detail, requestId }, { planes }) {
  const blank = (count) => Array(count).fill("");
  return [item.name, index, ...blank(9), code, detail, ...blank(5), requestId, ...blank(planes.length)];
}

// A cell that no spreadsheet takes for a formula, whatever a file is called.
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
