// The answer for the chosen frame: plane, probabilities, choice of the heat map's plane, details.

import { byId, h, setText } from "./dom.js";
import { abstention, percent } from "./text.js";

export class Answer {
  #shown = null;

  constructor(session, queue, viewer) {
    Object.assign(this, { session, queue, viewer, model: null });
    byId("rows").addEventListener("change", (event) => this.#explain(event.target.value));
  }

  // Show the result of the item's current frame. Does nothing if it is shown already.
  show(item) {
    const result = item.result;
    if (this.#shown === result) return;
    this.#shown = result;
    byId("verdict").replaceChildren(this.#verdict(item, result));
    byId("planes").hidden = result?.state !== "answered";
    setText(byId("evidence"), "");
    if (result?.state === "answered") this.#showAnswer(result);
    else byId("details").replaceChildren(...this.#refusalDetails(result));
  }

  #showAnswer(result) {
    const { predictions } = result.answer;
    result.target ??= predictions[0].plane;
    byId("rows").replaceChildren(...predictions.map((each) => row(each, each.plane === result.target)));
    byId("details").replaceChildren(...details(result.answer));
    this.#explain(result.target);
  }

  async #explain(plane) {
    const item = this.session.chosen;
    const { shown: index, result } = item;
    const { label } = this.model.planes.find((known) => known.id === plane);
    result.target = plane;
    // A reply may arrive after the user has chosen another frame or plane.
    const isCurrent = () => this.session.chosen === item && item.shown === index && result.target === plane;
    const slowNotice = setTimeout(() => isCurrent() && setText(byId("evidence"), `Computing the heat map for ${label}…`), 200);
    try {
      const explanation = await this.queue.explain(item, index, plane);
      if (!isCurrent()) return;
      this.viewer.showEvidence(item, explanation, label);
      setText(byId("evidence"), evidenceText(explanation, label));
    } catch (refusal) {
      if (!isCurrent()) return;
      this.viewer.showEvidence(item, null, label);
      setText(byId("evidence"), `No heat map: ${refusal.detail}`);
    } finally {
      clearTimeout(slowNotice);
    }
  }

  #verdict(item, result) {
    if (result?.state === "answered") {
      const { answer } = result;
      const [best] = answer.predictions;
      return answer.abstain
        ? card("abstained", "?", "Not sure", "", abstention(answer, this.model.abstention))
        : card("answered", "✓", best.label, percent(best.probability), notes(answer));
    }
    if (result?.state === "refused") {
      const again = h("button", { type: "button", onclick: () => this.queue.classify(item, item.shown, { first: true }) }, "Try again");
      const { refusal } = result;
      return card("refused", "!", refusal.title, "", refusal.detail, refusal.worthRetrying || refusal.code === "unreadable-file" ? again : null);
    }
    return card("waiting", "…", result?.state === "running" ? "Classifying…" : "Waiting", "", "");
  }

  #refusalDetails(result) {
    const { requestId, code } = result?.refusal ?? {};
    return pairs([["Problem", code], ["Request", requestId]]);
  }
}

function card(kind, sign, title, value, text, action = null) {
  return h("div", { class: `card ${kind}` },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("p", { class: "card-title" }, title, value && h("span", { class: "card-value" }, value)),
    text && h("p", { class: "card-text" }, text),
    action);
}

function notes({ predictions: [, second], sub_plane: subPlane, sub_plane_reason: reason }) {
  const sentences = subPlane ? [`Standard plane: ${subPlane.label}, ${percent(subPlane.probability)}.`] : [];
  if (reason === "close") sentences.push("Standard plane: two are almost equally probable.");
  if (second) sentences.push(`Next: ${second.label}, ${percent(second.probability)}.`);
  return sentences.join(" ");
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
  if (explanation.empty) return `No evidence for ${label} in this frame.`;
  return `Evidence for ${label}. The peak is ${explanation.raw_max.toPrecision(2)}; the colors are scaled to it.`;
}

function details({ frame, model, request_id: request }) {
  return pairs([
    ["Input region", `${frame.crop[2] - frame.crop[0]} × ${frame.crop[3] - frame.crop[1]} from ${frame.crop[0]}, ${frame.crop[1]}`],
    ["Model", `${model.name} ${model.version} (${model.sha256.slice(0, 12)})`],
    ["Request", request],
  ]);
}

const pairs = (list) => list.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
