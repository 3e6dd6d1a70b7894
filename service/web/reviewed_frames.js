// Save reviewed frames as a data set that `fetal-planes-build check` and `train` read: the files, labels.csv and dataset.toml.

import { byId, setText } from "./dom.js";
import { cell, save } from "./export.js";
import { originalsOf } from "./outcome.js";
import { namedPlane, reviewsOf } from "./review.js";
import { hex, plural } from "./text.js";
import { zip } from "./zip.js";

const HEAD = [
  "path", "label", "patient", "machine", "sub_plane", "verdict", "model_plane", "model_sub_plane", "model_probability",
  "model_abstain_reason", "model", "frame", "name",
];
// Tells frames of this visit, which state no patient and are in no folder, from those of others.
const VISIT = hex(crypto.getRandomValues(new Uint8Array(4)));
const FOLDER = "fetal-planes-reviewed";

// Ids of patients by item: the key of the patient, that of the only patient of the same folder, the folder, or this visit. A
// folder is the first level in which the files differ. Frames of one patient must not be on two sides of a split.
export function patientsOf(items) {
  const parts = new Map(items.map((item) => [item, item.name.split("/").slice(0, -1)]));
  const [first = []] = parts.values();
  const apart = first.findIndex((part, depth) => ![...parts.values()].every((other) => other[depth] === part));
  const depth = apart < 0 ? first.length : apart;
  const folderOf = (item) => parts.get(item)[depth] ?? parts.get(item).at(-1) ?? "";
  const keys = new Map();
  for (const item of items) {
    const known = keys.get(folderOf(item)) ?? new Set();
    keys.set(folderOf(item), item.patient ? known.add(item.patient) : known);
  }
  return new Map(items.map((item) => {
    const folder = folderOf(item);
    const [only, ...others] = keys.get(folder);
    const key = item.patient ?? (others.length ? null : only);
    return [item, key ? `patient-${key}` : folder ? `folder-${folder}` : `exam-${VISIT}`];
  }));
}

// Return the members [{name, blob}] of the data set of `items`, the numbers of frames `saved` and left out as they show no
// plane; `all` are the files of the visit.
export async function dataSet(items, all, service) {
  const [patients, originals] = [patientsOf(all), originalsOf(items)];
  const reviews = items.filter((item) => !originals.has(item)).flatMap((item) => reviewsOf(item).map((each) => ({ item, ...each })));
  const labeled = reviews.filter(({ counted }) => !counted.abstain);
  const [members, rows] = [[], []];
  for (const [number, each] of labeled.entries()) {
    const { item, index } = each;
    // A loop has one label in a table: its frames become pictures.
    const blob = item.count === 1 ? item.file : await service.picture(item.file, index, item.removal.signal);
    const name = `frames/${String(number + 1).padStart(4, "0")}${item.count === 1 ? endingOf(item.name) : ".png"}`;
    members.push({ name, blob });
    rows.push([name, ...describe(each), item.count === 1 ? "" : index, item.name].toSpliced(2, 0, patients.get(item)));
  }
  const table = [HEAD, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  const texts = { "labels.csv": `\uFEFF${table}`, "dataset.toml": statements(labeled) };
  members.push(...Object.entries(texts).map(([name, text]) => ({ name, blob: new Blob([text]) })));
  return { members, saved: labeled.length, leftOut: reviews.length - labeled.length };
}

// The columns from `label` to `model`, without `patient`.
function describe({ item, answer, verdict, counted: { predictions: [plane], sub_plane: subPlane } }) {
  const named = namedPlane(answer);
  return [
    plane.label, item.machine, subPlane?.plane, verdict, named?.plane, answer.sub_plane?.plane, named?.probability,
    answer.abstain_reason, `${answer.model.name} ${answer.model.version}`,
  ];
}

// The ids of the planes by their labels, as the table writes them. A TOML string has JSON's escapes.
function statements(labeled) {
  const ids = new Map(labeled.map(({ counted: { predictions: [{ plane, label }] } }) => [label, plane]));
  const unquoted = (label) => cell(label).replace(/^"(.*)"$/s, "$1").replaceAll('""', '"');
  const lines = [...ids].map(([label, plane]) => `${JSON.stringify(unquoted(label))} = ${JSON.stringify(plane)}\n`);
  return `name = "Frames reviewed by a person"\n\n[planes]\n${lines.join("")}`;
}

const endingOf = (name) => /\.[A-Za-z0-9]{1,8}$/.exec(name)?.[0].toLowerCase() ?? "";

// Save as a ZIP file, or into a folder that the person chooses. Returns what to say.
export async function saveReviewed(kind, items, session, service, part = "") {
  try {
    const parent = kind === "folder" ? await showDirectoryPicker({ mode: "readwrite" }) : null; // soon after the press
    const { members, saved, leftOut } = await dataSet(items, session.items, service);
    if (!saved) return leftOut ? "None of them shows a plane: there is nothing to save." : "None of them is reviewed yet.";
    const name = parent ? await writeFolder(parent, members) : await writeZip(members, part);
    if (!name) return "They are too large for a ZIP file. Save them to a folder, or select fewer.";
    if (items === session.items && !leftOut) session.unsavedReviews = false;
    const without = leftOut ? ` ${plural(leftOut, "frame")} without a plane left out.` : "";
    return `${plural(saved, "frame")} saved${parent ? ` in ${name}` : ""}.${without}`;
  } catch (error) {
    if (error.name === "AbortError") return ""; // no folder was chosen
    return `Not saved: ${error.detail ?? error.message}`;
  }
}

async function writeZip(members, part) {
  const file = await zip(members);
  if (!file) return null;
  save(file, "application/zip", `${FOLDER}${part}.zip`);
  return FOLDER;
}

// Write into a new folder: nothing is overwritten. Returns its name.
async function writeFolder(parent, members) {
  const taken = new Set();
  for await (const name of parent.keys()) taken.add(name);
  const numbers = Array.from({ length: taken.size + 1 }, (_, number) => `${FOLDER}${number ? `-${number + 1}` : ""}`);
  const name = numbers.find((each) => !taken.has(each));
  const folder = await parent.getDirectoryHandle(name, { create: true });
  for (const { name: path, blob } of members) {
    const names = path.split("/");
    const place = names.length > 1 ? await folder.getDirectoryHandle(names[0], { create: true }) : folder;
    const stream = await (await place.getFileHandle(names.at(-1), { create: true })).createWritable();
    await stream.write(blob);
    await stream.close();
  }
  return name;
}

// The buttons of the bar.
export function startSaving(session, service) {
  const press = async (kind) => {
    setText(byId("review-saved"), "Saving…");
    setText(byId("review-saved"), await saveReviewed(kind, session.items, session, service));
  };
  byId("review-zip").addEventListener("click", () => press("zip"));
  byId("review-folder").addEventListener("click", () => press("folder"));
  byId("review-folder").hidden = !("showDirectoryPicker" in globalThis);
  session.addEventListener("review", () => setText(byId("review-saved"), ""));
}
