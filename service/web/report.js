// The exam report: files are sent under numbers, and their names are inserted into the page here, in the browser.

import { save } from "./export.js";
import { reviewsOf } from "./review.js";

const MOST_CHARACTERS = 30_000; // of a query; the service refuses requests with longer heads

// Save the report of a sorted exam. Returns what to say when it is done.
export async function saveReport(service, { protocol, groups, left, items }, part = "") {
  const read = items.filter((item) => !item.unread);
  if (!read.length) return "No file is read to its end yet.";
  const chosen = groups.filter((group) => group.chosen).map(({ frames: [{ item, index }] }) => `${read.indexOf(item)}:${index}`);
  const said = corrections(read);
  if (said.length > MOST_CHARACTERS) return "The report cannot hold all reviews. Select fewer files, or choose one group of them.";
  const files = read.map(({ file }, number) => ({ file, name: `file-${number}-of-this-exam` }));
  try {
    const text = await service.report(files, { protocol: protocol.id, chosen: chosen.join(","), corrected: said, unread: left });
    save(insertNames(text, read), "text/html", `exam${part}${left ? "-unfinished" : ""}.html`);
    return "Saved.";
  } catch (refusal) {
    return refusal.detail ?? "The report could not be created.";
  }
}

// What a person says of the files, in the form of the query.
function corrections(read) {
  const said = ({ index, counted }, number) => [number, index, ...(counted.abstain ? [""] : [counted.predictions[0].plane, counted.sub_plane?.plane ?? []])].flat().join(":");
  return read.flatMap((item, number) => reviewsOf(item).map((each) => said(each, number))).join(",");
}

// Replace the placeholders in the report by the files' names, escaped as text.
function insertNames(report, items) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const asText = (name) => name.replace(/[&<>"']/g, (character) => entities[character]);
  return report.replace(/file-(\d+)-of-this-exam/g, (match, number) => asText(items[number]?.name ?? match));
}
