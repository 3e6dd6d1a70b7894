// The answer on the chosen frame: the verdict, the probabilities, the choice of evidence, the details.

import { byId, h, setText } from "./dom.js";
import { abstention, percent } from "./words.js";

export class Answer {
  #shown = null;

  constructor(session, reader, stage) {
    Object.assign(this, { session, reader, stage, model: null });
    byId("rows").addEventListener("change", (event) => this.#explain(event.target.value));
  }

  // Show what is known of the item's frame; nothing changes where it is on show already.
  show(item) {
    const reading = item.reading;
    if (this.#shown === reading) return;
    this.#shown = reading;
    byId("verdict").replaceChildren(this.#verdict(item, reading));
    byId("planes").hidden = reading?.state !== "answered";
    setText(byId("evidence"), "");
    if (reading?.state === "answered") this.#showAnswer(reading);
    else byId("details").replaceChildren(...this.#refusalDetails(reading));
  }

  #showAnswer(reading) {
    const { predictions } = reading.answer;
    reading.target ??= predictions[0].plane;
    byId("rows").replaceChildren(...predictions.map((each) => row(each, each.plane === reading.target)));
    byId("details").replaceChildren(...details(reading.answer));
    this.#explain(reading.target);
  }

  async #explain(plane) {
    const item = this.session.chosen;
    const { shown: index, reading } = item;
    const { label } = this.model.planes.find((known) => known.id === plane);
    reading.target = plane;
    const still = () => this.session.chosen === item && item.shown === index && reading.target === plane;
    const late = setTimeout(() => still() && setText(byId("evidence"), `Looking for evidence for ${label}…`), 200);
    try {
      const explanation = await this.reader.explain(item, index, plane);
      if (!still()) return;
      this.stage.showEvidence(item, explanation, label);
      setText(byId("evidence"), evidenceText(explanation, label));
    } catch (refusal) {
      if (!still()) return;
      this.stage.showEvidence(item, null, label);
      setText(byId("evidence"), `No heat map: ${refusal.detail}`);
    } finally {
      clearTimeout(late);
    }
  }

  #verdict(item, reading) {
    if (reading?.state === "answered") {
      const { answer } = reading;
      const [best] = answer.predictions;
      return answer.abstain
        ? card("abstained", "?", "Not sure", "", abstention(answer, this.model.abstention))
        : card("answered", "✓", best.label, percent(best.probability), notes(answer));
    }
    if (reading?.state === "refused") {
      const again = h("button", { type: "button", onclick: () => this.reader.read(item, item.shown, { first: true }) }, "Try again");
      const { refusal } = reading;
      return card("refused", "!", refusal.title, "", refusal.detail, refusal.worthRetrying || refusal.code === "unreadable-file" ? again : null);
    }
    return card("waiting", "…", reading?.state === "asking" ? "Reading…" : "Waiting for its turn", "", "");
  }

  #refusalDetails(reading) {
    const { requestId, code } = reading?.refusal ?? {};
    return pairs([["Problem", code], ["Request", requestId]]);
  }
}

function card(kind, sign, title, figure, text, action = null) {
  return h("div", { class: `card ${kind}` },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("p", { class: "card-title" }, title, figure && h("span", { class: "figure" }, figure)),
    text && h("p", { class: "card-text" }, text),
    action);
}

function notes({ predictions: [, second], sub_plane: finer }) {
  const told = finer ? [`Standard plane: ${finer.label}, ${percent(finer.probability)}.`] : [];
  if (second) told.push(`Next: ${second.label}, ${percent(second.probability)}.`);
  return told.join(" ");
}

function row({ plane, label, probability }, checked) {
  const bar = h("i");
  bar.style.setProperty("--share", probability);
  const id = `target-${plane}`;
  return h("div", { class: "row" },
    h("input", { type: "radio", name: "target", id, value: plane, checked }),
    h("label", { for: id },
      h("span", { class: "row-label" }, label),
      h("span", { class: "row-value" }, percent(probability)),
      h("span", { class: "row-bar", "aria-hidden": "true" }, bar)));
}

function evidenceText(explanation, label) {
  if (explanation.empty) return `Nothing in this frame speaks for ${label}.`;
  return `Evidence for ${label}; its peak is ${explanation.raw_max.toPrecision(2)}. Colors are scaled to that peak.`;
}

function details({ frame, model, request_id: request }) {
  return pairs([
    ["Model saw", `${frame.crop[2] - frame.crop[0]} × ${frame.crop[3] - frame.crop[1]} from ${frame.crop[0]}, ${frame.crop[1]}`],
    ["Model", `${model.name} ${model.version} (${model.sha256.slice(0, 12)})`],
    ["Request", request],
  ]);
}

const pairs = (list) => list.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
