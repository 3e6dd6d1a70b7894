// The exam report: files are sent under numbers, and their names are inserted into the page here, in the browser.

import { save } from "./export.js";

// Save the report of a sorted exam. Returns what to say when it is done.
export async function saveReport(service, { protocol, groups, left, items }, part = "") {
  const read = items.filter((item) => !item.unread);
  if (!read.length) return "No file is read to its end yet.";
  const chosen = groups.filter((group) => group.chosen).map(({ frames: [{ item, index }] }) => `${read.indexOf(item)}:${index}`);
  const files = read.map(({ file }, number) => ({ file, name: `file-${number}-of-this-exam` }));
  try {
    const text = await service.report(files, { protocol: protocol.id, chosen: chosen.join(","), unread: left });
    save(insertNames(text, read), "text/html", `exam${part}${left ? "-unfinished" : ""}.html`);
    return "Saved.";
  } catch (refusal) {
    return refusal.detail ?? "The report could not be created.";
  }
}

// Replace the placeholders in the report by the files' names, escaped as text.
function insertNames(report, items) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const asText = (name) => name.replace(/[&<>"']/g, (character) => entities[character]);
  return report.replace(/file-(\d+)-of-this-exam/g, (match, number) => asText(items[number]?.name ?? match));
}
