// The exam view: planes that were not found, the choice of files and expected planes, and the frames on shelves.

import { byId, h, setText } from "./dom.js";
import { inState, sortExam } from "./exam_sort.js";
import { groupChoice, groupsOf, patientsIn } from "./groups.js";
import { saveReport } from "./report.js";
import { roving } from "./roving.js";
import { Shelves } from "./shelves.js";
import { readLeftText } from "./summary.js";
import { leftText, plural } from "./text.js";

const KEPT_FOCUS = /^(report$|read-left$|expect-|prefer-|group-|found-|check-|duplicate-)/; // ids whose elements are drawn again

export class ExamView {
  #group = null; // id of the group of files that is shown, or null for all

  constructor(session, queue, open, service) {
    Object.assign(this, { session, queue, service, model: null, expected: new Set(), element: byId("exam") });
    this.shelves = new Shelves(session, open, () => this.show());
    this.status = h("p", { class: "muted", role: "status" });
    this.saveButton = h("button", { type: "button", id: "report", onclick: () => this.#report() }, "Save as a printable page");
    roving(this.element, ".expected input");
    roving(this.element, ".shelf .tile", ".mark button");
  }

  // The exam of these files; by default of all that are shown.
  sorted(items = this.#shown()) {
    return sortExam(items, this.session.choices, this.model.planes, this.expected);
  }

  show() {
    if (!this.model) return;
    this.#readLoops();
    const focused = document.activeElement?.id;
    const exam = this.sorted();
    this.element.replaceChildren(
      h("h2", { id: "exam-title", tabindex: -1 }, "Exam"),
      this.#completeness(exam),
      this.#groups(),
      this.#choice(),
      ...exam.groups.filter(({ frames, expected }) => frames.length || expected).map((group) => this.shelves.plane(group, exam)),
      this.shelves.toCheck(exam),
      this.shelves.duplicates(exam),
      h("div", { class: "bar" }, this.saveButton, this.status),
    );
    if (KEPT_FOCUS.test(focused ?? "")) byId(focused)?.focus();
  }

  // Move the focus to the shown frame of an item, or to the title.
  focus(item = null) {
    (byId(`found-${item?.id}-${item?.shown}`) ?? byId("exam-title"))?.focus();
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
    const said = await saveReport(this.service, sorted, this.expected, part);
    if (said === "Saved.") this.session.unsavedChoices = false;
    return said;
  }

  #completeness(exam) {
    const { left, total } = exam;
    const names = (state) => inState(exam, state).map(({ label }) => label).join(", ");
    if (left) {
      const open = names("not-read-yet");
      const read = h("button", { type: "button", id: "read-left", onclick: () => this.queue.readRest(exam.items) }, readLeftText(left));
      return card("waiting", "…", `Not read yet: ${leftText(left, total)}`,
        `${open ? `Without a frame so far: ${open}. ` : ""}What is absent shows only after everything is read.`,
        this.queue.left ? null : read);
    }
    const patients = patientsIn(exam.items);
    if (patients > 1) {
      return card("abstained", "?", `Frames of ${patients} patients are mixed here`,
        "A plane of one patient does not complete the exam of another. Choose a patient below.");
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
}

// What an exam is, in one line.
function stateText(exam) {
  if (exam.left) return leftText(exam.left, exam.total);
  const missing = inState(exam, "not-found").map(({ label }) => label);
  return missing.length ? `not found: ${missing.join(", ")}` : "every expected plane was found";
}

function card(kind, sign, title, text, action = null) {
  return h("div", { class: `card ${kind}` }, h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("p", { class: "card-title" }, title), h("p", { class: "card-text" }, text), action);
}
