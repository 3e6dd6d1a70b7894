// Files with many frames: a scrubber, and a strip of probabilities with one row per plane and one column per frame.

import { h, setText } from "./dom.js";
import { roving } from "./roving.js";
import { hasGuess, percent, plural, unnamedText } from "./text.js";

const SETTLE_MS = 120; // frames that the scrubber only passes are not requested

// Build the controls in `container`. Returns a function that updates them for an item; one frame needs no controls.
export function createCineControls(session, queue, container) {
  let item = null;
  let model = null;
  let timer = 0;
  let target = 0;
  const goTo = (index) => {
    clearTimeout(timer);
    target = Math.min(item.count - 1, Math.max(0, index));
    showPosition(target);
    const choose = () => session.choose(item, target);
    if (item.pictures.has(target)) choose();
    timer = setTimeout(() => {
      choose();
      if (!item.result || item.result.state === "waiting") queue.classify(item, target, { first: true });
    }, SETTLE_MS);
  };
  const showPosition = (index) => {
    scrubber.value = index;
    scrubber.setAttribute("aria-valuetext", `${index + 1} of ${item.count}`);
    setText(position, `${index + 1} / ${item.count}`);
  };
  const scrubber = h("input", {
    type: "range", id: "scrubber", min: 0, value: 0, step: 1, oninput: () => goTo(Number(scrubber.value)),
  });
  const position = h("output", { for: "scrubber" });
  const strip = h("canvas", { role: "img", onclick: (event) => goTo(Math.floor((event.offsetX / strip.clientWidth) * item.count)) });
  const names = h("div", { class: "strip-names", "aria-hidden": "true" });
  const rows = h("div", { class: "strip", hidden: true }, names, strip);
  const best = h("p", { class: "best" });
  const segmentText = h("p", { class: "muted" });
  const allButton = h("button", { type: "button", onclick: () => queue.classifyAll(item) }, "Classify every frame");
  container.append(
    rows,
    h("div", { class: "bar" },
      h("label", { for: "scrubber" }, "Frame"),
      h("button", { type: "button", "aria-label": "Previous frame", onclick: () => goTo(target - 1) }, "‹"),
      scrubber,
      h("button", { type: "button", "aria-label": "Next frame", onclick: () => goTo(target + 1) }, "›"),
      position, allButton),
    segmentText,
    best,
  );
  roving(container);

  return (shown, knownModel) => {
    if (item !== shown) clearTimeout(timer);
    [item, model] = [shown, knownModel];
    container.hidden = item.count < 2;
    if (container.hidden) return;
    scrubber.max = item.count - 1;
    target = item.shown;
    showPosition(target);
    allButton.hidden = item.pending.length === 0;
    const answers = item.answers;
    rows.hidden = answers.length < 2;
    if (!rows.hidden) showStrip({ names, strip, best, goTo }, item, model, answers);
    else best.replaceChildren();
    setText(segmentText, segments(item));
  };
}

function showStrip({ names, strip, best, goTo }, item, model, answers) {
  names.replaceChildren(...model.planes.map((plane) => h("span", {}, plane.label)));
  [strip.width, strip.height] = [Math.min(2048, item.count * 8), model.planes.length * 8];
  const context = strip.getContext("2d");
  const step = strip.width / item.count;
  context.fillStyle = getComputedStyle(strip).color;
  for (const [index, answer] of answers) {
    if (!hasGuess(answer)) { // its probabilities mean nothing: a mark across all planes
      context.globalAlpha = 0.35;
      context.fillRect(index * step + step / 2 - 0.5, 1, 1, strip.height - 2);
      continue;
    }
    for (const { plane, probability } of answer.predictions) {
      context.globalAlpha = probability;
      const row = model.planes.findIndex((known) => known.id === plane);
      context.fillRect(index * step, row * 8 + 1, Math.max(1, step - (step > 4 ? 1 : 0)), 6);
    }
  }
  const found = item.cine?.best.map(({ frame, ...best }) => ({ index: frame, ...best })) ?? bestPerPlane(answers);
  strip.setAttribute("aria-label", `Probabilities of ${plural(answers.length, "classified frame")}. ${segments(item)}`);
  best.replaceChildren(
    found.length ? (item.cine ? "Most probable: " : "Most probable so far: ") : "No plane was found.",
    ...found.map(({ index, label, probability, seconds }) =>
      h("button", { type: "button", class: "quiet", onclick: () => goTo(index) },
        `${label}, frame ${index + 1}${at(seconds)} (${percent(probability)})`)),
  );
}

// When a video shows a frame; files of other formats state no times.
function at(seconds) {
  return typeof seconds === "number" ? ` at ${seconds.toFixed(2)} s` : "";
}

// The segments that the service found in the cine, as sentences.
function segments({ cine }) {
  return (cine?.segments ?? [])
    .map(({ start, end, label, abstained, frames }) =>
      `${start === end ? "Frame" : "Frames"} ${start + 1}${start === end ? "" : ` to ${end + 1}`}: ${label ?? unnamedText(abstained, frames)}.`)
    .join(" ");
}

// The most probable frame of each plane, among answers without abstention, in frame order.
function bestPerPlane(answers) {
  const best = new Map();
  for (const [index, answer] of answers) {
    const [first] = answer.predictions;
    if (answer.abstain || best.get(first.plane)?.probability >= first.probability) continue;
    best.set(first.plane, { index, answer, seconds: answer.frame.seconds, ...first });
  }
  return [...best.values()].sort((a, b) => a.index - b.index);
}
