// What became of a batch, in words that filter the list: "50 read", "3 not sure", "1 could not be read".

import { byId, h, oncePerFrame, setText } from "./dom.js";
import { KINDS, ofKind, reviewReasons } from "./outcome.js";
import { plural } from "./text.js";

const MIN_FILES = 2; // one file is its own summary

// `filter` shows one kind of files in the list.
export function startSummary(session, queue, filter) {
  const buttons = Object.entries(KINDS).map(([kind, { text }]) => {
    const button = h("button", {
      type: "button", id: `filter-${kind}`, "aria-pressed": "false", onclick: () => filter(session.filter === kind ? null : kind),
    });
    return { kind, text, button };
  });
  const all = h("button", { type: "button", id: "filter-all", onclick: () => filter(null) }, "Show all");
  const rest = h("button", { type: "button", id: "read-rest", class: "main-button", onclick: () => queue.readRest(session.items) });
  byId("summary").append(h("span", { id: "summary-title" }), ...buttons.map(({ button }) => button), all, h("span", { class: "spacer" }), rest);

  const show = oncePerFrame(() => {
    const { items } = session;
    byId("summary").hidden = items.length < MIN_FILES || (queue.left > 0 && !session.filter);
    if (byId("summary").hidden) return;
    setText(byId("summary-title"), `${plural(items.length, "file")}:`);
    for (const { kind, text, button } of buttons) {
      const count = ofKind(items, kind).length;
      button.hidden = !count && session.filter !== kind;
      button.setAttribute("aria-pressed", String(session.filter === kind));
      setText(button, text(count));
      if (kind === "to-review") button.title = reviewReasons(items);
    }
    all.hidden = !session.filter;
    const left = ofKind(items, "unread").length;
    rest.hidden = !left || queue.left > 0;
    setText(rest, readLeftText(left));
  });
  for (const event of ["list", "item", "filter"]) session.addEventListener(event, show);
  queue.addEventListener("progress", show);
}

export const readLeftText = (left) => (left === 1 ? "Read the file that is left" : `Read the ${left} files that are left`);
