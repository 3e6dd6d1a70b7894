// Take back what was done, a removal of files or a review, and do it again: a message with buttons, until it is closed. What
// was removed stays in memory only.

import { byId, setText } from "./dom.js";
import { announce } from "./progress.js";
import { plural } from "./text.js";

const MOST = 1000; // actions that are kept

// An action is {text, undone, undo, redo}: what was done and what its undo did, as sentences, and functions; `focus` moves the
// focus afterwards, by default to the list.
export class History {
  #done = [];
  #undone = [];

  constructor(focus) {
    this.focus = focus;
    byId("undo").addEventListener("click", () => this.undo());
    byId("redo").addEventListener("click", () => this.redo());
    byId("undo-close").addEventListener("click", () => {
      this.#done = [];
      this.#undone = [];
      this.#show();
      focus();
    });
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  add(action) {
    this.#done = [...this.#done, action].slice(-MOST);
    this.#undone = [];
    this.#show();
  }

  undo() {
    this.#move(this.#done, this.#undone, "undo");
  }

  redo() {
    this.#move(this.#undone, this.#done, "redo");
  }

  #move(from, to, kind) {
    const action = from.pop();
    if (!action) return;
    action[kind]();
    to.push(action);
    this.#show();
    announce(kind === "undo" ? action.undone : action.text);
    (action.focus ?? this.focus)();
  }

  #show() {
    byId("undo-bar").hidden = !this.#done.length && !this.#undone.length;
    byId("undo").hidden = !this.#done.length;
    byId("redo").hidden = !this.#undone.length;
    setText(byId("undo-text"), this.#done.at(-1)?.text ?? this.#undone.at(-1)?.undone ?? "");
  }

  #onKey(event) {
    const editing = event.target.matches?.("input:not([type=range], [type=checkbox], [type=radio]), textarea");
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || editing || (key !== "z" && key !== "y")) return;
    const again = key === "y" || event.shiftKey;
    if (!(again ? this.#undone : this.#done).length) return;
    event.preventDefault();
    if (again) this.redo();
    else this.undo();
  }
}

// Removals can be undone; `resume` reads on what was under way.
export function undoRemovals(session, history, resume) {
  let again = null; // the action that removes files once more
  session.addEventListener("removal", ({ detail }) => {
    if (again) return Object.assign(again, { detail });
    const text = `${namesOf(detail)} removed.`;
    const action = {
      text,
      undone: `${namesOf(detail)} restored.`,
      detail,
      undo: () => {
        session.restore(action.detail);
        resume(action.detail.places);
      },
      redo: () => {
        again = action;
        session.remove(action.detail.places.map(({ item }) => item));
        again = null;
      },
    };
    history.add(action);
    announce(`${text} Press Control and Z to undo.`);
    if (!session.items.length) byId("undo").focus(); // the list is gone
  });
}

const namesOf = ({ places }) => (places.length === 1 ? places[0].item.name : plural(places.length, "file"));
