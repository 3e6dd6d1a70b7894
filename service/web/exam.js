// The exam: its frames by plane, the best of each, what is missing, and what a person should look at.

import { byId, h, setText } from "./dom.js";
import { bestOfEach } from "./cine.js";
import { save } from "./export.js";
import { fillTile, parts } from "./film.js";
import { plural, roundPercent } from "./words.js";

const NARROW = 0.2; // between the first two planes; below it a person should look

// The frames of all items: [{item, index, answer}], of a file of many frames the best of each plane.
function found(items) {
  return items.flatMap((item) => {
    const answers = item.answers;
    if (item.count === 1) return answers.map(([index, answer]) => ({ item, index, answer }));
    const best = bestOfEach(answers);
    return best.length ? best.map(({ index, answer }) => ({ item, index, answer })) : firstOf(item, answers);
  });
}

const firstOf = (item, answers) => answers.slice(0, 1).map(([index, answer]) => ({ item, index, answer }));

// What an exam holds: `groups` by plane, the most probable first; `missing` planes; frames `unsure`, `close`, `refused`.
export function sortExam(items, planes, expected) {
  const all = found(items);
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
    close: sure.filter(({ answer: { predictions: [first, second] } }) => second && first.probability - second.probability < NARROW),
    refused: items.filter((item) => item.reading?.state === "refused").map((item) => ({ item, index: item.shown })),
  };
}

export class ExamView {
  constructor(session, open, service) {
    Object.assign(this, { session, open, service, model: null, expected: new Set(), place: byId("exam") });
    this.told = h("p", { class: "muted", role: "status" });
    this.asking = h("button", { type: "button", id: "report", onclick: () => this.#report() }, "Save as a page to print");
  }

  show() {
    if (!this.model) return;
    const focused = document.activeElement?.id;
    const exam = sortExam(this.session.items, this.model.planes, this.expected);
    this.place.replaceChildren(
      h("h2", { id: "exam-title" }, "Exam"),
      this.#completeness(exam),
      this.#choice(),
      ...exam.groups.filter(({ plane, frames }) => frames.length || this.expected.has(plane.id)).map((group) => this.#group(group)),
      this.#byHand(exam),
      h("div", { class: "bar" }, this.asking, this.told),
    );
    if (focused === "report" || focused?.startsWith("expect-")) byId(focused)?.focus();
  }

  // Files go under numbers; their names are put into the page here.
  async #report() {
    const items = [...this.session.items];
    this.asking.disabled = true;
    setText(this.told, "The service sorts the files anew; this takes as long as reading them did.");
    try {
      const files = items.map(({ file }, number) => ({ file, name: standIn(number) }));
      const text = await this.service.report(files, { expect: [...this.expected].join(",") });
      save(named(text, items), "text/html", "exam.html");
      setText(this.told, "Saved.");
    } catch (refusal) {
      setText(this.told, refusal.detail ?? "The page could not be made.");
    }
    this.asking.disabled = false;
  }

  #completeness({ missing }) {
    if (!this.expected.size) return h("p", { class: "card waiting" }, "No plane is expected. Choose some below.");
    if (!missing.length) {
      return h("div", { class: "card answered" }, h("span", { class: "sign", "aria-hidden": "true" }, "✓"),
        h("p", { class: "card-title" }, "Every expected plane is there"),
        h("p", { class: "card-text" }, "There is not the same as good: the service does not judge a plane’s quality."));
    }
    return h("div", { class: "card abstained" }, h("span", { class: "sign", "aria-hidden": "true" }, "–"),
      h("p", { class: "card-title" }, `Missing: ${missing.map(({ label }) => label).join(", ")}`),
      h("p", { class: "card-text" }, "No frame was surely recognized as this. Look below, too, at the frames to be checked by hand."));
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

  #byHand({ unsure, close, refused }) {
    const kinds = [
      ["The model is not sure", unsure],
      [`Close: two planes within ${roundPercent(NARROW)} of each other`, close],
      ["Not read", refused],
    ];
    const some = kinds.filter(([, frames]) => frames.length);
    if (!some.length) return "";
    return h("section", { class: "group by-hand" }, h("h3", {}, "To be checked by hand"),
      ...some.map(([title, frames]) => [h("h4", {}, `${title} · ${plural(frames.length, "frame")}`), this.#tiles(frames)]));
  }

  #tiles(frames, markBest = false) {
    return h("ul", { class: "shelf" }, ...frames.map(({ item, index }, place) => {
      const tile = h("button", { type: "button", class: "tile", onclick: () => this.open(item, index) }, ...parts());
      fillTile(tile, item, index);
      if (markBest && place === 0) tile.prepend(h("span", { class: "best-mark" }, "Best"));
      return h("li", {}, tile);
    }));
  }
}

const standIn = (number) => `file-${number}-of-this-exam`;

// The report with the files' names, as text, in place of the numbers that they were sent under.
function named(report, items) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const asText = (name) => name.replace(/[&<>"']/g, (sign) => signs[sign]);
  return report.replace(/file-(\d+)-of-this-exam/g, (number, place) => asText(items[place]?.name ?? number));
}
