// Export the answers: JSON with the service's replies, or CSV for a spreadsheet.

import { h } from "./dom.js";

export function asJson(items, model) {
  const frames = items.flatMap((item) =>
    [...item.results]
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
    [...item.results]
      .sort(([a], [b]) => a - b)
      .flatMap(([index, result]) => (result.answer ? [answerLine(item, result.answer, model)]
        : result.refusal ? [refusalLine(item, index, result.refusal, model)] : [])));
  const table = [head, ...lines].map((line) => `${line.map(cell).join(",")}\r\n`);
  return `\uFEFF${table.join("")}`; // the byte order mark tells a spreadsheet that the file is UTF-8
}

function answerLine(item, answer, { planes }) {
  const { predictions, sub_plane: subPlane, abstain, abstain_reason: reason, frame, model, request_id: id } = answer;
  const [first, second] = predictions;
  return [
    item.name, frame.index, first.plane, first.label, first.probability, second?.plane, second?.probability,
    subPlane?.plane, subPlane?.probability, abstain, reason, "", "", frame.width, frame.height, model.name, model.version, model.sha256, id,
    ...planes.map((plane) => predictions.find((each) => each.plane === plane.id)?.probability),
  ];
}

function refusalLine(item, index, { code, detail, requestId }, { planes }) {
  const blank = (count) => Array(count).fill("");
  return [item.name, index, ...blank(9), code, detail, ...blank(5), requestId, ...blank(planes.length)];
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
