// The exam view: frames by plane with the best of each, missing planes, and frames to check by hand.

import { byId, h, setText } from "./dom.js";
import { bestPerPlane } from "./cine.js";
import { save } from "./export.js";
import { updateTile, tileParts } from "./frame_list.js";
import { plural, roundPercent } from "./text.js";

const CLOSE_MARGIN = 0.2; // between the first two planes; frames below it are listed for a check by hand

// The answered frames of all items as [{item, index, answer}]; of a cine only the best frame of each plane.
function candidates(items) {
  return items.flatMap((item) => {
    const answers = item.answers;
    if (item.count === 1) return answers.map(([index, answer]) => ({ item, index, answer }));
    const best = bestPerPlane(answers);
    return best.length ? best.map(({ index, answer }) => ({ item, index, answer })) : firstOf(item, answers);
  });
}

const firstOf = (item, answers) => answers.slice(0, 1).map(([index, answer]) => ({ item, index, answer }));

// Sort an exam: `groups` by plane with the most probable frame first; `missing` planes; frames `unsure`, `close`, `refused`.
export function sortExam(items, planes, expected) {
  const all = candidates(items);
  const sure = all.filter(({ answer }) => !answer.abstain);
  const probability = ({ answer }) => answer.predictions[0].probability;
  const groups = planes.map((plane) => ({
    plane,
    frames: sure.filter(({ answer }) => answer.predictions[0].plane === plane.id).sort((a, b) => probability(b) - probability(a)),
  }));
  return {
    groups,
    missing: groups.filter(({ plane, frames }) => expected.has(plane.id) && !frames.length).map(({ plane }) => plane),
    unsure: all.filter(({ answer }) => answer.abstain),
    close: sure.filter(({ answer: { predictions: [first, second] } }) => second && first.probability - second.probability < CLOSE_MARGIN),
    refused: items.filter((item) => item.result?.state === "refused").map((item) => ({ item, index: item.shown })),
  };
}

export class ExamView {
  constructor(session, open, service) {
    Object.assign(this, { session, open, service, model: null, expected: new Set(), element: byId("exam") });
    this.status = h("p", { class: "muted", role: "status" });
    this.saveButton = h("button", { type: "button", id: "report", onclick: () => this.#report() }, "Save as a printable page");
  }

  show() {
    if (!this.model) return;
    const focused = document.activeElement?.id;
    const exam = sortExam(this.session.items, this.model.planes, this.expected);
    this.element.replaceChildren(
      h("h2", { id: "exam-title" }, "Exam"),
      this.#completeness(exam),
      this.#choice(),
      ...exam.groups.filter(({ plane, frames }) => frames.length || this.expected.has(plane.id)).map((group) => this.#group(group)),
      this.#toCheck(exam),
      h("div", { class: "bar" }, this.saveButton, this.status),
    );
    if (focused === "report" || focused?.startsWith("expect-")) byId(focused)?.focus();
  }

  // Files are sent under numbers. Their names are inserted into the report here, in the browser.
  async #report() {
    const items = [...this.session.items];
    this.saveButton.disabled = true;
    setText(this.status, "The service classifies the files again for the report. This takes as long as the first time.");
    try {
      const files = items.map(({ file }, number) => ({ file, name: placeholder(number) }));
      const text = await this.service.report(files, { expect: [...this.expected].join(",") });
      save(insertNames(text, items), "text/html", "exam.html");
      setText(this.status, "Saved.");
    } catch (refusal) {
      setText(this.status, refusal.detail ?? "The report could not be created.");
    }
    this.saveButton.disabled = false;
  }

  #completeness({ missing }) {
    if (!this.expected.size) return h("p", { class: "card waiting" }, "No plane is expected. Choose some below.");
    if (!missing.length) {
      return h("div", { class: "card answered" }, h("span", { class: "sign", "aria-hidden": "true" }, "✓"),
        h("p", { class: "card-title" }, "Every expected plane is present"),
        h("p", { class: "card-text" }, "Present does not mean good: the service does not assess image quality."));
    }
    return h("div", { class: "card abstained" }, h("span", { class: "sign", "aria-hidden": "true" }, "–"),
      h("p", { class: "card-title" }, `Missing: ${missing.map(({ label }) => label).join(", ")}`),
      h("p", { class: "card-text" }, "No frame was confidently recognized as this plane. See also the frames to check by hand, below."));
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

  #group({ plane, frames }) {
    const heading = h("h3", {}, plane.label, h("span", { class: "muted" }, frames.length ? ` ${frames.length}` : ""));
    if (!frames.length) return h("section", { class: "group" }, heading, h("p", { class: "gap" }, "Missing"));
    return h("section", { class: "group" }, heading, this.#tiles(frames, true));
  }

  #toCheck({ unsure, close, refused }) {
    const kinds = [
      ["The model is not sure", unsure],
      [`Close: two planes within ${roundPercent(CLOSE_MARGIN)} of each other`, close],
      ["Not classified", refused],
    ];
    const present = kinds.filter(([, frames]) => frames.length);
    if (!present.length) return "";
    return h("section", { class: "group by-hand" }, h("h3", {}, "To check by hand"),
      ...present.map(([title, frames]) => [h("h4", {}, `${title} · ${plural(frames.length, "frame")}`), this.#tiles(frames)]));
  }

  #tiles(frames, markBest = false) {
    return h("ul", { class: "shelf" }, ...frames.map(({ item, index }, rank) => {
      const tile = h("button", { type: "button", class: "tile", onclick: () => this.open(item, index) }, ...tileParts());
      updateTile(tile, item, index);
      if (markBest && rank === 0) tile.prepend(h("span", { class: "best-mark" }, "Best"));
      return h("li", {}, tile);
    }));
  }
}

const placeholder = (number) => `file-${number}-of-this-exam`;

// Replace the placeholders in the report by the files' names, escaped as text.
function insertNames(report, items) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const asText = (name) => name.replace(/[&<>"']/g, (character) => entities[character]);
  return report.replace(/file-(\d+)-of-this-exam/g, (match, number) => asText(items[number]?.name ?? match));
}
