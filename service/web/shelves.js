// The frames of an exam on shelves: one for each plane, those to check by hand, those without a plane, and duplicates.

import { h } from "./dom.js";
import { modelText } from "./review.js";
import { REASONS, subPlaneText, unnamedText } from "./text.js";
import { tileParts, updateTile } from "./tile.js";

// `open` shows a frame; `redraw` draws the exam again after a choice.
export class Shelves {
  #tiles = new Map(); // by id: drawing hundreds of them again for each answer would take too long

  constructor(session, open, redraw) {
    Object.assign(this, { session, open, redraw });
    session.addEventListener("list", () => this.#forget());
  }

  // The frames of one plane.
  plane({ plane, frames }) {
    const heading = h("h3", {}, plane.label, h("span", { class: "muted" }, ` ${frames.length}`));
    const groups = bySubPlane(frames);
    const mark = (frame) => this.#mark(plane, frames, frame);
    return h("section", { class: "group" }, heading,
      ...[...groups].map(([title, own]) => [title && h("h4", {}, `${title} · ${own.length}`), this.#shelf("found", own, mark)]).flat());
  }

  // What a frame is among those of its plane, and the button that changes it.
  #mark(plane, frames, frame) {
    const { item, index, tied, chosen, answer } = frame;
    const first = frame === frames[0];
    const rank = chosen ? "Chosen by you" : first ? `Most probable${tied ? ", tied" : ""}` : tied ? "Tied" : "";
    const text = [rank, reviewNote(answer)].filter(Boolean).join(" · ");
    const change = () => {
      this.session.prefer(plane.id, chosen ? null : { item, index });
      this.redraw();
    };
    const label = chosen ? "Undo the choice" : "Prefer this one";
    const button = h("button", {
      type: "button", class: "quiet", id: `prefer-${item.id}-${index}`, "aria-label": `${label}: ${item.name}`, onclick: change,
    }, label);
    return h("div", { class: "mark" }, h("span", {}, text), first && !chosen ? null : button);
  }

  // The frames that a person should check.
  toCheck({ check, refused }) {
    const kinds = [...Object.keys(REASONS).map((reason) => [REASONS[reason], check.filter((each) => each.reason === reason)]),
      ["Not classified", refused]];
    const present = kinds.filter(([, frames]) => frames.length);
    if (!present.length) return "";
    const note = ({ item, reason }) => (reason === "no-plane"
      ? h("div", { class: "mark" }, unnamedText(item.cine.abstained, item.cine.frames)) : null);
    return h("section", { class: "group by-hand" }, h("h3", {}, "To check by hand"),
      ...present.flatMap(([title, frames]) => [h("h4", {}, `${title} · ${frames.length}`), this.#shelf("check", frames, note)]));
  }

  // Frames without a plane, as a person says.
  withoutPlane({ noPlane }) {
    if (!noPlane.length) return "";
    return h("section", { class: "group no-plane" }, h("h3", {}, "No plane, as you say", h("span", { class: "muted" }, ` ${noPlane.length}`)),
      this.#shelf("none", noPlane, ({ answer }) => h("div", { class: "mark" }, reviewNote(answer))));
  }

  // Files that do not count, each below the file that does.
  duplicates({ duplicates }) {
    if (!duplicates.size) return "";
    const note = ({ item }) => h("div", { class: "mark" }, `Same as ${duplicates.get(item).name}`);
    return h("section", { class: "group duplicates" }, h("h3", {}, "Duplicates", h("span", { class: "muted" }, ` ${duplicates.size}`)),
      h("p", { class: "muted" }, "These files have the same bytes as another one and do not count."),
      this.#shelf("duplicate", [...duplicates.keys()].map((item) => ({ item, index: 0 })), note));
  }

  // `kind` tells apart the places of a frame: it can be on the shelf of its plane, and among those to check.
  #shelf(kind, frames, mark) {
    return h("ul", { class: "shelf" }, ...frames.map((frame) => h("li", {}, mark(frame), this.#tile(kind, frame))));
  }

  #tile(kind, { item, index }) {
    const id = `${kind}-${item.id}-${index}`;
    const open = () => this.open(item, index);
    const tile = this.#tiles.get(id) ?? h("button", { type: "button", class: "tile", id, "data-item": item.id, "data-index": index, onclick: open }, ...tileParts());
    this.#tiles.set(id, tile);
    updateTile(tile, item, index);
    return tile;
  }

  #forget() {
    const kept = new Set(this.session.items.map(({ id }) => String(id)));
    for (const id of this.#tiles.keys()) if (!kept.has(id.split("-")[1])) this.#tiles.delete(id);
  }
}

// What a person made of an answer.
function reviewNote({ correction }) {
  if (!correction) return "";
  return correction.verdict === "accepted" ? "Confirmed by you" : `Corrected by you; the model said: ${modelText(correction.answer)}`;
}

// Frames by sub-plane, in the order of their first frames; Map.groupBy is missing in browsers of early 2024.
function bySubPlane(frames) {
  const groups = new Map();
  for (const frame of frames) {
    const title = subPlaneText(frame.answer);
    groups.set(title, [...(groups.get(title) ?? []), frame]);
  }
  return groups;
}
