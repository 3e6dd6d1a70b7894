// What the browser prints: the exam or the chosen frame, under a head with its name, the date and the model.

import { byId, h } from "./dom.js";
import { plural } from "./text.js";

// `current` returns {exam: whether the exam is shown, service: its version, model}.
export function startPrint(session, current) {
  byId("print").addEventListener("click", () => print());
  addEventListener("beforeprint", () => byId("print-head").replaceChildren(...head(session, current())));
}

function head({ items, chosen }, { exam, service, model }) {
  const name = exam ? examName(items) : chosen?.name ?? "";
  const rows = [
    ["Printed", new Date().toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" })],
    ["Model", model ? `${model.name} ${model.version}` : ""],
    ["Service", service],
  ].filter(([, value]) => value);
  return [
    h("h1", {}, exam ? `Exam: ${name}` : name || "Fetal Planes"),
    h("p", {}, rows.map(([what, value]) => `${what}: ${value}`).join(" · ")),
    h("p", {}, h("b", {}, "Research use only. Not a medical device."), " Image quality is not assessed."),
  ];
}

// The name of the folder that all files are in, or their number.
function examName(items) {
  const folders = new Set(items.map(({ name }) => name.split("/").slice(0, -1).join("/")));
  const [folder] = folders;
  const files = plural(items.length, "file");
  if (items.length === 1) return items[0].name;
  return folders.size === 1 && folder ? `${folder} (${files})` : files;
}
