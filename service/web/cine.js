// Files of many frames: a scrubber, and for every frame read its probabilities as a strip, a row a plane.

import { h, setText } from "./dom.js";
import { percent, plural } from "./words.js";

const SETTLE_MS = 120; // a frame that the scrubber only passes by is not asked for

// Build the controls in `place`; what returns shows them for an item, or hides them where it has one frame.
export function cineControls(session, reader, place) {
  let item = null;
  let model = null;
  let timer = 0;
  let aim = 0;
  const go = (index) => {
    clearTimeout(timer);
    aim = Math.min(item.count - 1, Math.max(0, index));
    showPlace(aim);
    const look = () => session.choose(item, aim);
    if (item.pictures.has(aim)) look();
    timer = setTimeout(() => {
      look();
      if (!item.reading || item.reading.state === "waiting") reader.read(item, aim, { first: true });
    }, SETTLE_MS);
  };
  const showPlace = (index) => {
    scrubber.value = index;
    scrubber.setAttribute("aria-valuetext", `${index + 1} of ${item.count}`);
    setText(where, `${index + 1} / ${item.count}`);
  };
  const scrubber = h("input", {
    type: "range", id: "scrubber", min: 0, value: 0, step: 1, oninput: () => go(Number(scrubber.value)),
  });
  const where = h("output", { for: "scrubber" });
  const strip = h("canvas", { role: "img" });
  const names = h("div", { class: "strip-names", "aria-hidden": "true" });
  const rows = h("div", { class: "strip", hidden: true }, names, strip);
  const best = h("p", { class: "best" });
  const course = h("p", { class: "muted" });
  const all = h("button", { type: "button", onclick: () => reader.readAll(item) }, "Read every frame");
  place.append(
    rows,
    h("div", { class: "bar" },
      h("label", { for: "scrubber" }, "Frame"),
      h("button", { type: "button", "aria-label": "Previous frame", onclick: () => go(aim - 1) }, "‹"),
      scrubber,
      h("button", { type: "button", "aria-label": "Next frame", onclick: () => go(aim + 1) }, "›"),
      where, all),
    course,
    best,
  );

  return (shown, knownModel) => {
    if (item !== shown) clearTimeout(timer);
    [item, model] = [shown, knownModel];
    place.hidden = item.count < 2;
    if (place.hidden) return;
    scrubber.max = item.count - 1;
    aim = item.shown;
    showPlace(aim);
    all.hidden = item.unread.length === 0;
    const answers = item.answers;
    rows.hidden = answers.length < 2;
    if (!rows.hidden) showStrip({ names, strip, best, go }, item, model, answers);
    else best.replaceChildren();
    setText(course, segments(item));
  };
}

function showStrip({ names, strip, best, go }, item, model, answers) {
  names.replaceChildren(...model.planes.map((plane) => h("span", {}, plane.label)));
  [strip.width, strip.height] = [Math.min(2048, item.count * 8), model.planes.length * 8];
  const context = strip.getContext("2d");
  const step = strip.width / item.count;
  context.fillStyle = getComputedStyle(strip).color;
  for (const [index, answer] of answers) {
    for (const { plane, probability } of answer.predictions) {
      context.globalAlpha = probability;
      const row = model.planes.findIndex((known) => known.id === plane);
      context.fillRect(index * step, row * 8 + 1, Math.max(1, step - (step > 4 ? 1 : 0)), 6);
    }
  }
  const found = item.cine?.best.map(({ frame, ...best }) => ({ index: frame, ...best })) ?? bestOfEach(answers);
  strip.setAttribute("aria-label", `Probabilities over the ${plural(answers.length, "frame")} read. ${segments(item)}`);
  best.replaceChildren(
    found.length ? "Best: " : "No frame of those read has a sure answer.",
    ...found.map(({ index, label, probability }) =>
      h("button", { type: "button", class: "quiet", onclick: () => go(index) },
        `${label}, frame ${index + 1} (${percent(probability)})`)),
  );
}

// What the service makes of the loop as a whole, in words.
function segments({ cine }) {
  return (cine?.segments ?? [])
    .map(({ start, end, label }) => `${start === end ? "Frame" : "Frames"} ${start + 1}${start === end ? "" : ` to ${end + 1}`}: ${label ?? "not sure"}.`)
    .join(" ");
}

// Of each plane that some frame was answered with, the most probable frame.
export function bestOfEach(answers) {
  const best = new Map();
  for (const [index, answer] of answers) {
    const [first] = answer.predictions;
    if (answer.abstain || best.get(first.plane)?.probability >= first.probability) continue;
    best.set(first.plane, { index, answer, ...first });
  }
  return [...best.values()].sort((a, b) => a.index - b.index);
}
