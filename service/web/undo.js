// Take back the removal of files: a message with an Undo button, until it is closed. What was removed stays in memory only.

import { byId, setText } from "./dom.js";
import { announce } from "./progress.js";
import { plural } from "./text.js";

// `resume` reads on what was under way; `focus` moves the focus to the list.
export function startUndo(session, { resume, focus }) {
  const removals = []; // the last one is undone first
  const show = () => {
    byId("undo-bar").hidden = !removals.length;
    if (removals.length) setText(byId("undo-text"), textOf(removals.at(-1)));
  };
  const undo = () => {
    const removal = removals.pop();
    if (!removal) return;
    session.restore(removal);
    resume(removal.places);
    show();
    announce(`${namesOf(removal)} restored.`);
    focus();
  };
  session.addEventListener("removal", ({ detail }) => {
    removals.push(detail);
    show();
    announce(`${textOf(detail)} Press Control and Z to undo.`);
    if (!session.items.length) byId("undo").focus(); // the list is gone
  });
  byId("undo").addEventListener("click", undo);
  byId("undo-close").addEventListener("click", () => {
    removals.length = 0;
    show();
    focus();
  });
  addEventListener("keydown", (event) => {
    const editing = event.target.matches?.("input:not([type=range], [type=checkbox], [type=radio]), textarea");
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey || editing || !removals.length) return;
    event.preventDefault();
    undo();
  });
}

const namesOf = ({ places }) => (places.length === 1 ? places[0].item.name : plural(places.length, "file"));

const textOf = (removal) => `${namesOf(removal)} removed.`;
