// Groups of an exam's files: by patient where the files state several, and by folder where they come from several.

import { h } from "./dom.js";
import { plural } from "./text.js";

// Return the groups as [{id, label, items}]; none where all files are of one patient and one folder. Patients are numbered
// in the order of the list; nothing identifies them.
export function groupsOf(items) {
  const patients = split(items, ({ patient }) => patient);
  const folders = split(items, ({ name }) => folderOf(name));
  const shared = sharedPath([...folders.keys()]);
  const keys = [...patients.keys()].filter(Boolean);
  const byPatient = [...patients].map(([key, own]) => ({
    id: `patient-${key}`, label: key ? `Patient ${keys.indexOf(key) + 1}` : "No patient stated", items: own,
  }));
  const byFolder = [...folders].map(([path, own]) => ({
    id: `folder-${path}`, label: path === shared ? "Files outside folders" : `Folder ${path.slice(shared.length, -1)}`, items: own,
  }));
  const isOfOne = ({ items: own }) => own.every(({ patient }) => patient === own[0].patient);
  const same = keys.length > 1 && byPatient.length === byFolder.length && byFolder.every(isOfOne);
  return [...(keys.length > 1 ? byPatient : []), ...(folders.size > 1 && !same ? byFolder : [])];
}

// The number of patients that the files state.
export const patientsIn = (items) => new Set(items.map(({ patient }) => patient).filter(Boolean)).size;

// Radio buttons for the groups, each with what `describe` says of its files.
export function groupChoice(groups, all, chosen, { describe, choose }) {
  const radio = ({ id, label, items }, number) => {
    const name = `group-${number}`;
    return h("label", { class: "check", for: name },
      h("input", { type: "radio", name: "group", id: name, checked: id === chosen, onchange: () => choose(id) }),
      h("span", {}, h("b", {}, label), ` · ${plural(items.length, "file")}`, h("span", { class: "muted" }, describe(items))));
  };
  return h("fieldset", { class: "groups" }, h("legend", {}, "Show the exam of"),
    radio({ id: null, label: "All", items: all }, 0), ...groups.map((group, index) => radio(group, index + 1)));
}

// Files by key, in the order of the list.
function split(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

const folderOf = (name) => name.slice(0, name.lastIndexOf("/") + 1);

// The folders above all of these: "scans/" of "scans/monday/" and "scans/tuesday/".
function sharedPath(paths) {
  const parts = paths.map((path) => path.split("/").slice(0, -1));
  const shared = (parts[0] ?? []).findIndex((part, depth) => !parts.every((other) => other[depth] === part));
  return (shared < 0 ? parts[0] ?? [] : parts[0].slice(0, shared)).map((part) => `${part}/`).join("");
}
