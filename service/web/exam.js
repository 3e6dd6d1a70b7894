// The exam view: the checked protocol, the choice of files, and the frames on shelves.

import { byId, h, setText } from "./dom.js";
import { inState, sortExam } from "./exam_sort.js";
import { groupChoice, groupsOf, patientsIn } from "./groups.js";
import { saveReport } from "./report.js";
import { aboutProtocol, checklist, protocolChoice } from "./protocol.js";
import { roving } from "./roving.js";
import { Shelves } from "./shelves.js";
import { readLeftText } from "./summary.js";
import { leftText, plural } from "./text.js";

const KEPT_FOCUS = /^(report$|read-left$|protocol$|item-|prefer-|group-|found-|check-|none-|duplicate-)/; // ids whose elements are drawn again

export class ExamView {
  #group = null; // id of the group of files that is shown, or null for all
  #listed = null; // the protocol whose choice and source are shown

  constructor(session, queue, open, service) {
    Object.assign(this, { session, queue, open, service, model: null, protocols: [], protocol: null, element: byId("exam") });
    this.shelves = new Shelves(session, open, () => this.show());
    this.status = h("p", { class: "muted", role: "status" });
    this.saveButton = h("button", { type: "button", id: "report", onclick: () => this.#report() }, "Save as a printable page");
    this.protocolBox = h("section", { class: "group", "aria-label": "Protocol" });
    roving(this.protocolBox, ".checklist button");
    roving(this.element, ".shelf .tile", ".mark button");
  }

  // The exam of these files; by default of all that are shown.
  sorted(items = this.#shown()) {
    return sortExam(items, this.session.choices, this.model.planes, this.protocol);
  }

  show() {
    if (!this.model) return;
    this.#readLoops();
    const focused = document.activeElement?.id;
    const exam = this.sorted();
    this.#check(exam);
    this.#draw([
      h("h2", { id: "exam-title", tabindex: -1 }, "Exam"),
      this.#completeness(exam),
      this.#groups(),
    ], [
      ...exam.groups.filter(({ frames }) => frames.length).map((group) => this.shelves.plane(group)),
      this.shelves.toCheck(exam),
      this.shelves.withoutPlane(exam),
      this.shelves.duplicates(exam),
      h("div", { class: "bar" }, this.saveButton, this.status),
    ]);
    if (KEPT_FOCUS.test(focused ?? "")) (byId(focused) ?? tileOf(focused.replace(/^\w+-/, "")))?.focus();
  }

  // Draw what is above and below the protocol, which stays in the page: an open choice would close.
  #draw(above, below) {
    if (!this.element.contains(this.protocolBox)) this.element.replaceChildren(this.protocolBox);
    for (const each of [...this.element.childNodes]) if (each !== this.protocolBox) each.remove();
    this.protocolBox.before(...above);
    this.protocolBox.after(...below);
  }

  // Move the focus to the shown frame of an item, or to the title.
  focus(item = null) {
    (tileOf(`${item?.id}-${item?.shown}`) ?? byId("exam-title"))?.focus();
  }

  #shown() {
    const { items } = this.session;
    return groupsOf(items).find(({ id }) => id === this.#group)?.items ?? items;
  }

  // The choice between the groups of files: by patient, by folder.
  #groups() {
    const { items } = this.session;
    const groups = groupsOf(items);
    if (!groups.length) return "";
    const describe = (own) => ` · ${patientsIn(own) > 1 ? "several patients" : stateText(this.sorted(own))}`;
    const choose = (id) => {
      this.#group = id;
      this.show();
    };
    const chosen = groups.some(({ id }) => id === this.#group) ? this.#group : null;
    return groupChoice(groups, items, chosen, { describe, choose });
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

  async #report() {
    const number = groupsOf(this.session.items).findIndex(({ id }) => id === this.#group) + 1;
    this.saveButton.disabled = true;
    setText(this.status, "The service classifies the files again for the report. This takes as long as the first time.");
    setText(this.status, await this.save(this.sorted(), number ? `-part-${number}` : ""));
    this.saveButton.disabled = false;
  }

  // Save the report of a sorted exam. Returns what became of it.
  async save(sorted, part) {
    const said = await saveReport(this.service, sorted, part);
    if (said === "Saved.") this.session.saved();
    return said;
  }

  #completeness(exam) {
    const { left, total } = exam;
    const names = (state) => inState(exam, state).join(", ");
    if (left) {
      const open = names("not-read-yet");
      const read = h("button", { type: "button", id: "read-left", onclick: () => this.queue.readRest(exam.items) }, readLeftText(left));
      return card("waiting", "…", `Not read yet: ${leftText(left, total)}`,
        `${open ? `Not fulfilled so far: ${open}. ` : ""}What is missing shows only after everything is read.`,
        this.queue.left ? null : read);
    }
    const patients = patientsIn(exam.items);
    if (patients > 1) {
      return card("abstained", "?", `Frames of ${patients} patients are mixed here`,
        "A frame of one patient does not complete the exam of another. Choose a patient below.");
    }
    const open = [["missing", "Missing"], ["doubtful", "Only doubtful frames"]].filter(([state]) => names(state));
    const unreadable = exam.refused.length ? ` ${plural(exam.refused.length, "frame")} could not be classified, see below.` : "";
    return open.length
      ? card("abstained", "–", open.map(([state, text]) => `${text}: ${names(state)}`).join(". "),
        `Not enough frames were confidently recognized. See also the frames to check by hand, below.${unreadable}`)
      : card("answered", "✓", "Every required item is fulfilled", `Fulfilled does not mean good: the service does not assess image quality.${unreadable}`);
  }

  // Show the protocol with its items; a button for each item opens its first frame.
  #check({ protocol, checked }) {
    const choose = (chosen) => {
      this.protocol = chosen;
      this.show();
    };
    const open = ({ label, frames: [sure], doubtful: [doubtful] }, number) => {
      const first = sure ?? doubtful;
      return first && h("button", {
        type: "button", class: "quiet", id: `item-${number}`, "aria-label": `Show ${first.item.name}, for ${label}`,
        onclick: () => this.open(first.item, first.index),
      }, first.item.name);
    };
    const list = checklist(checked, open);
    if (this.#listed === protocol) return this.protocolBox.lastElementChild.replaceWith(list);
    this.#listed = protocol;
    this.protocolBox.replaceChildren(protocolChoice(this.protocols, protocol, choose), aboutProtocol(protocol), list);
  }
}

// The first tile of a frame, which may be on several shelves.
const tileOf = (frame) => ["found", "check", "none"].map((shelf) => byId(`${shelf}-${frame}`)).find(Boolean);

// What an exam is, in one line.
function stateText(exam) {
  if (exam.left) return leftText(exam.left, exam.total);
  const missing = [...inState(exam, "missing"), ...inState(exam, "doubtful")];
  return missing.length ? `not fulfilled: ${missing.join(", ")}` : "every required item is fulfilled";
}

function card(kind, sign, title, text, action = null) {
  return h("div", { class: `card ${kind}` }, h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("p", { class: "card-title" }, title), h("p", { class: "card-text" }, text), action);
}
