// The answer for the chosen frame: plane, probabilities, choice of the heat map's plane, details.

import { byId, h, setText } from "./dom.js";
import { announce } from "./progress.js";
import { corrected, modelText, reviewText } from "./review.js";
import { abstention, hasGuess, isWeak, percent, REASONS, subPlaneText, summary } from "./text.js";

const MAX_ANNOUNCED = 2; // frames of a batch whose answers are read out; of more, the end of the batch is

export class Answer {
  #shown = null;
  #review = null; // of the shown frame
  #awaited = null; // the frame, as item and index, whose result is shown as waiting

  constructor(session, queue, viewer) {
    Object.assign(this, { session, queue, viewer, model: null, preface: "" }); // `preface` is said before the next answer
    byId("rows").addEventListener("change", (event) => this.#explain(event.target.value));
  }

  // Show the result of the item's current frame. Does nothing if it is shown already.
  show(item) {
    const result = item.result;
    const review = item.reviews.get(item.shown) ?? null;
    const same = this.#shown === result;
    if (same && this.#review === review) return;
    [this.#shown, this.#review] = [result, review];
    byId("verdict").replaceChildren((review && reviewCard(result, review)) ?? this.#verdict(item, result));
    if (same) return;
    this.#announce(item, result);
    byId("planes").hidden = true;
    const unnamed = result?.answer && !hasGuess(result.answer) && !result.revealed;
    setText(byId("evidence"), unnamed ? "No heat map, because the model names no plane." : "");
    byId("details").replaceChildren(...(result?.answer ? details(result.answer) : this.#refusalDetails(result)));
    if (result?.answer && !unnamed) this.#showPlanes(result);
  }

  // Say the answer of a frame that was waited for, or that was chosen without its tile, which would say it.
  #announce(item, result) {
    const frame = `${item.id}:${item.shown}`;
    const done = ["answered", "refused"].includes(result?.state);
    const unsaid = this.#awaited === frame ? this.queue.total <= MAX_ANNOUNCED : !document.activeElement.matches(".tile");
    if (done && unsaid) {
      const { text, value } = summary(result);
      announce(`${this.preface}${item.name}: ${[text, value].filter(Boolean).join(", ")}.`);
    }
    this.preface = "";
    this.#awaited = done ? null : frame;
  }

  #showPlanes(result) {
    const { predictions } = result.answer;
    result.target ??= predictions[0].plane;
    byId("rows").replaceChildren(...predictions.map((each) => row(each, each.plane === result.target)));
    byId("planes").hidden = false;
    this.#explain(result.target);
  }

  // Show the probabilities of a frame although they mean nothing, because a person asked for them.
  #reveal(item, result) {
    result.revealed = true;
    this.#shown = null;
    this.show(item);
    byId("rows").querySelector("input:checked").focus();
  }

  async #explain(plane) {
    const item = this.session.chosen;
    const { shown: index, result } = item;
    const { label } = this.model.planes.find((known) => known.id === plane);
    const [first] = result.answer.predictions;
    result.target = plane;
    // A reply may arrive after the user has chosen another frame or plane.
    const isCurrent = () => this.session.chosen === item && item.shown === index && result.target === plane;
    const slowNotice = setTimeout(() => isCurrent() && setText(byId("evidence"), `Computing the heat map for ${label}…`), 200);
    try {
      const [explanation, reference] = await Promise.all(
        [plane, first.plane].map((each) => this.queue.explain(item, index, each)));
      if (!isCurrent()) return;
      const strength = reference.raw_max > 0 ? Math.min(1, explanation.raw_max / reference.raw_max) : 1;
      this.viewer.showEvidence(item, explanation, label, strength);
      setText(byId("evidence"), evidenceText(explanation, label, first, strength));
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
      const reveal = () => h("button", { type: "button", class: "quiet", onclick: () => this.#reveal(item, result) }, "Show the probabilities anyway");
      return answer.abstain
        ? card("abstained", "?", REASONS[answer.abstain_reason], "", abstention(answer, this.model.abstention),
          hasGuess(answer) || result.revealed ? null : reveal())
        : card("answered", "✓", best.label, percent(best.probability), notes(answer));
    }
    if (result?.state === "refused") {
      const again = h("button", { type: "button", onclick: () => this.queue.classify(item, item.shown, { first: true }) }, "Try again");
      const { refusal } = result;
      return card("refused", "!", refusal.title, "", refusal.detail, refusal.worthRetrying ? again : null);
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

// What a person says of a frame, next to what the model said; null where the service refused the frame.
function reviewCard({ state, answer } = {}, review) {
  if (state === "refused") return null;
  if (!answer) return card("waiting", "…", reviewText(review), "", "You said so. It counts once the model has answered.");
  const { correction: { verdict }, abstain, predictions: [first] } = corrected(answer, review);
  const said = `The model said: ${modelText(answer)}.`;
  if (verdict === "rejected") return card("abstained", "✕", "No plane", "", `Rejected by you. ${said}`);
  if (verdict === "supplemented") return card("answered", "✎", reviewText(review), "", `Corrected by you. ${said}`);
  if (abstain) return card("abstained", "✓", "No plane", "", `Confirmed by you. ${said}`);
  return card("answered", "✓", first.label, percent(first.probability), ["Confirmed by you.", notes(answer)].filter(Boolean).join(" "));
}

function notes(answer) {
  const { predictions: [, second], sub_plane: subPlane } = answer;
  const finer = subPlaneText(answer);
  const sentences = finer ? [`${finer}${subPlane ? `, ${percent(subPlane.probability)}` : ""}.`] : [];
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

function evidenceText(explanation, label, first, strength) {
  if (explanation.empty) return `No evidence for ${label} in this frame.`;
  if (explanation.target === first.plane) return `Evidence for ${label}, the most probable plane.`;
  if (isWeak(strength)) return `Weak evidence for ${label}: the colors are faded, next to those for ${first.label}.`;
  return `Evidence for ${label}, scaled to that for ${first.label}.`;
}

function details({ frame, model, request_id: request }) {
  return pairs([
    ["Input region", `${frame.crop[2] - frame.crop[0]} × ${frame.crop[3] - frame.crop[1]} from ${frame.crop[0]}, ${frame.crop[1]}`],
    ["Model", `${model.name} ${model.version} (${model.sha256.slice(0, 12)})`],
    ["Request", request],
  ]);
}

const pairs = (list) => list.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)));
