// The exam view: frames by plane and sub-plane, planes that were not found, and frames to check by hand.

import { byId, h, setText } from "./dom.js";
import { inState, sortExam } from "./exam_sort.js";
import { save } from "./export.js";
import { updateTile, tileParts } from "./frame_list.js";
import { roving } from "./roving.js";
import { leftText, plural, REASONS, subPlaneText, unnamedText } from "./text.js";

export class ExamView {
  constructor(session, queue, open, service) {
    Object.assign(this, { session, queue, open, service, model: null, expected: new Set(), element: byId("exam") });
    this.status = h("p", { class: "muted", role: "status" });
    this.saveButton = h("button", { type: "button", id: "report", onclick: () => this.#report() }, "Save as a printable page");
    roving(this.element, ".expected input");
    roving(this.element, ".shelf .tile", ".mark button");
  }

  sorted() {
    return sortExam(this.session, this.model.planes, this.expected);
  }

  show() {
    if (!this.model) return;
    this.#readLoops();
    const focused = document.activeElement?.id;
    const exam = this.sorted();
    this.element.replaceChildren(
      h("h2", { id: "exam-title" }, "Exam"),
      this.#completeness(exam),
      this.#choice(),
      ...exam.groups.filter(({ frames, expected }) => frames.length || expected).map((group) => this.#group(group, exam)),
      this.#toCheck(exam),
      h("div", { class: "bar" }, this.saveButton, this.status),
    );
    if (/^(report$|read-left$|expect-|prefer-|frame-|check-)/.test(focused ?? "")) byId(focused)?.focus();
  }

  // Read loops whole, once; after Stop a person decides. A file whose first frame is damaged may be a loop, too.
  #readLoops() {
    const damaged = (item) => item.results.get(0)?.refusal?.code === "unreadable-frame";
    for (const item of this.session.items) {
      if (item.asked || !(item.count > 1 ? item.unread : damaged(item))) continue;
      item.asked = true;
      this.queue.classifyAll(item);
    }
  }

  // Files are sent under numbers. Their names are inserted into the report here, in the browser.
  async #report() {
    const { groups, left } = this.sorted();
    const items = this.session.items.filter((item) => !item.unread);
    if (!items.length) return setText(this.status, "No file is read to its end yet.");
    const chosen = groups.filter((group) => group.chosen).map(({ frames: [{ item, index }] }) => `${items.indexOf(item)}:${index}`);
    this.saveButton.disabled = true;
    setText(this.status, "The service classifies the files again for the report. This takes as long as the first time.");
    try {
      const files = items.map(({ file }, number) => ({ file, name: placeholder(number) }));
      const query = { expect: [...this.expected].join(","), chosen: chosen.join(","), unread: left };
      const text = await this.service.report(files, query);
      save(insertNames(text, items), "text/html", left ? "exam-unfinished.html" : "exam.html");
      setText(this.status, "Saved.");
    } catch (refusal) {
      setText(this.status, refusal.detail ?? "The report could not be created.");
    }
    this.saveButton.disabled = false;
  }

  #completeness(exam) {
    const { left, total } = exam;
    const names = (state) => inState(exam, state).map(({ label }) => label).join(", ");
    if (left) {
      const open = names("not-read-yet");
      const read = h("button", { type: "button", id: "read-left", onclick: () => this.queue.readRest(this.session.items) },
        left === 1 ? "Read the file that is left" : `Read the ${left} files that are left`);
      return card("waiting", "…", `Not read yet: ${leftText(left, total)}`,
        `${open ? `Without a frame so far: ${open}. ` : ""}What is absent shows only after everything is read.`,
        this.queue.left ? null : read);
    }
    if (!this.expected.size) return h("p", { class: "card waiting" }, "No plane is expected. Choose some below.");
    const missing = names("not-found");
    const unreadable = exam.refused.length ? ` ${plural(exam.refused.length, "frame")} could not be classified, see below.` : "";
    return missing
      ? card("abstained", "–", `Not found: ${missing}`, `No frame was confidently recognized as this plane. See also the frames to check by hand, below.${unreadable}`)
      : card("answered", "✓", "Every expected plane was found", `Found does not mean good: the service does not assess image quality.${unreadable}`);
  }

  #choice() {
    const box = ({ id, label }) => {
      const toggle = ({ target }) => {
        this.expected[target.checked ? "add" : "delete"](id);
        this.show();
      };
      const name = `expect-${id}`;
      return h("label", { class: "check", for: name },
        h("input", { type: "checkbox", id: name, checked: this.expected.has(id), onchange: toggle }), label);
    };
    return h("fieldset", { class: "expected" }, h("legend", {}, "Expected in this exam"), ...this.model.planes.map(box));
  }

  #group({ plane, frames, state }, { left, total }) {
    const heading = h("h3", {}, plane.label, h("span", { class: "muted" }, frames.length ? ` ${frames.length}` : ""));
    if (!frames.length) {
      const gap = state === "not-found" ? h("p", { class: "gap" }, "Not found")
        : h("p", { class: "gap open" }, `Not read yet (${leftText(left, total)})`);
      return h("section", { class: "group" }, heading, gap);
    }
    const groups = bySubPlane(frames);
    const mark = (frame) => this.#mark(plane, frames, frame);
    return h("section", { class: "group" }, heading,
      ...[...groups].map(([title, own]) => [title && h("h4", {}, `${title} · ${own.length}`), this.#tiles("frame", own, mark)]).flat());
  }

  // What a frame is among those of its plane, and the button that changes it.
  #mark(plane, frames, frame) {
    const { item, index, tied, chosen } = frame;
    const first = frame === frames[0];
    const text = chosen ? "Chosen by you" : first ? `Most probable${tied ? ", tied" : ""}` : tied ? "Tied" : "";
    const change = () => {
      if (chosen) this.session.choices.delete(plane.id);
      else this.session.choices.set(plane.id, { item, index });
      this.show();
    };
    const label = chosen ? "Undo" : "Prefer this one";
    const button = h("button", {
      type: "button", class: "quiet", id: `prefer-${item.id}-${index}`, "aria-label": `${label}: ${item.name}`, onclick: change,
    }, label);
    return h("div", { class: "mark" }, h("span", {}, text), first && !chosen ? null : button);
  }

  #toCheck({ check, refused }) {
    const kinds = [...Object.keys(REASONS).map((reason) => [REASONS[reason], check.filter((each) => each.reason === reason)]),
      ["Not classified", refused]];
    const present = kinds.filter(([, frames]) => frames.length);
    if (!present.length) return "";
    const note = ({ item, reason }) => (reason === "no-plane"
      ? h("div", { class: "mark" }, unnamedText(item.cine.abstained, item.cine.frames)) : null);
    return h("section", { class: "group by-hand" }, h("h3", {}, "To check by hand"),
      ...present.flatMap(([title, frames]) => [h("h4", {}, `${title} · ${frames.length}`), this.#tiles("check", frames, note)]));
  }

  #tiles(part, frames, mark) {
    return h("ul", { class: "shelf" }, ...frames.map((frame) => {
      const { item, index } = frame;
      const id = `${part}-${item.id}-${index}`; // the focus returns to it after the exam was sorted again
      const tile = h("button", { type: "button", class: "tile", id, onclick: () => this.open(item, index) }, ...tileParts());
      updateTile(tile, item, index);
      return h("li", {}, mark(frame), tile);
    }));
  }
}

function card(kind, sign, title, text, action = null) {
  return h("div", { class: `card ${kind}` }, h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("p", { class: "card-title" }, title), h("p", { class: "card-text" }, text), action);
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

const placeholder = (number) => `file-${number}-of-this-exam`;

// Replace the placeholders in the report by the files' names, escaped as text.
function insertNames(report, items) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const asText = (name) => name.replace(/[&<>"']/g, (character) => entities[character]);
  return report.replace(/file-(\d+)-of-this-exam/g, (match, number) => asText(items[number]?.name ?? match));
}
