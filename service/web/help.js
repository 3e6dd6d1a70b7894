// The help dialog "How to read this": what the answers mean, and the metrics of the model's manifest.

import { byId, h } from "./dom.js";
import { OTHER_KEYS, SHORTCUTS, singleKeys } from "./shortcuts.js";
import { plural, roundPercent } from "./text.js";

export function startHelp() {
  byId("open-help").addEventListener("click", () => byId("help").showModal());
  fillHelp(null);
}

export function fillHelp(model) {
  byId("help").replaceChildren(
    h("div", { class: "bar" },
      h("h2", { id: "help-title" }, "How to read this"), h("span", { class: "spacer" }),
      h("button", { type: "button", onclick: () => byId("help").close() }, "Close")),
    h("p", {}, h("b", {}, "Research use only. Not a medical device."), " Do not base decisions about a patient on it."),
    ...(model ? [...answers(model), ...metrics(model)] : [h("p", {}, "The model’s metrics are not loaded yet.")]),
    ...shortcuts(),
    h("h3", {}, "Your frames"),
    h("p", {}, "A frame is sent to this service without its file name. The service does not store it, and this page stores " +
      "nothing: all frames, answers and reviews are gone when you close it. If the operator of the service keeps reviews, the " +
      "page says so at its top."),
  );
}

function shortcuts() {
  const row = ([keys, text]) => h("div", {}, h("dt", {}, keys.map((key) => h("kbd", {}, key))), h("dd", {}, text));
  const toggle = ({ target }) => { singleKeys.on = target.checked; };
  return [
    h("h3", {}, "Keys"),
    h("dl", { class: "shortcuts" }, ...[...SHORTCUTS, ...OTHER_KEYS].map(row)),
    h("label", { class: "check" }, h("input", { type: "checkbox", id: "single-keys", checked: singleKeys.on, onchange: toggle }),
      "Use the single keys"),
  ];
}

function answers(model) {
  const { min_probability: least } = model.abstention;
  return [
    h("h3", {}, "The answer"),
    h("p", {}, `The model knows ${plural(model.planes.length, "class", "classes")}: ${model.planes.map(({ label }) => label).join(", ")}. ` +
      "Every frame gets a probability for each. Probabilities are calibrated: of 100 frames answered with 80 %, about " +
      "80 are right, if they resemble the training frames."),
    h("p", {}, h("b", {}, "Between two planes"), ` means that no plane reaches ${roundPercent(least)}. `, h("b", {}, "Unknown view"),
      " means that the frame is unlike the frames that the model learned from, and ", h("b", {}, "Color flow"),
      " that color covers the tissue: the model names no plane then. A person must check such frames."),
    h("h3", {}, "The heat map"),
    h("p", {}, "It shows which regions raised the score of the chosen plane (Grad-CAM). It is coarse: it does not outline " +
      "anatomy and does not prove that the plane is correct. Each map is scaled to that of the most probable " +
      "plane, so weak evidence is faded, and named weak below the probabilities."),
    h("h3", {}, "The exam view"),
    h("p", {}, "It checks the frames against a protocol, a list of what the exam must show. An item is fulfilled when enough " +
      "frames were confidently recognized, and missing only after every file was read, loops frame by frame. " +
      "“Most probable” is not “best”: the service does not assess whether a frame is good " +
      "enough for a measurement. You can prefer another frame; the saved page keeps your choice."),
  ];
}

// Names of the manifest's metrics; a metric without a name here is shown under its own.
const METRIC_NAMES = {
  top1: "Top-1 accuracy", top2: "Top-2 accuracy", macro_f1: "Macro F1 score", brier_score: "Brier score",
  calibration_error: "Calibration error", coverage: "Coverage",
};

function metrics(model) {
  const { training_data: data } = model;
  const patients = data.train_patients === null ? "unknown patients" : plural(data.train_patients, "patient");
  const compared = model.metrics.some(({ baseline }) => isNumber(baseline));
  const heads = ["Metric", "Value (95 % interval)", compared && "Without looking", "Measured on"].filter(Boolean);
  return [
    h("h3", {}, "This model and its limits"),
    h("p", {}, `${model.name} ${model.version}, trained on ${plural(data.train_frames, "frame")} of ` +
      `${patients} from ${data.name} (${data.license}; ${data.citation}). On other scanners, ` +
      `settings or populations its accuracy is unknown.${model.weights_license ? ` License of the weights: ${model.weights_license}.` : ""}`),
    ...warnings(model),
    model.metrics.length
      ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Metrics" },
        h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, model.metrics.map((metric) => metricRow(metric, compared)))))
      : h("p", {}, "The manifest has no metrics."),
    compared && h("p", { class: "muted" }, "“Without looking” is the same metric of answers that ignore " +
      "the frame and always give the frequencies of the planes. A model that is not better has learned nothing."),
  ].filter(Boolean);
}

const isNumber = (value) => Number.isFinite(value); // absent and null: not measured

function metricRow({ metric, subset, split, n, value, baseline, low, high }, compared) {
  const interval = [low, high].every(isNumber) ? ` (${low.toFixed(3)} to ${high.toFixed(3)})` : "";
  return h("tr", {}, h("th", { scope: "row" }, `${METRIC_NAMES[metric] ?? metric}, ${subset} planes`),
    h("td", {}, `${value.toFixed(3)}${interval}`),
    compared && h("td", {}, isNumber(baseline) ? baseline.toFixed(3) : "–"),
    h("td", {}, `${split}, ${plural(n, "frame")}`));
}

// What the first view says of reasons to doubt the model.
export const doubts = ({ warnings: { length } = [] }) => (length ? ` · ${plural(length, "reason")} to doubt its metrics` : "");

// Reasons to doubt this model, from its manifest.
function warnings({ warnings: reasons = [] }) {
  if (!reasons.length) return [];
  return [h("div", { class: "note bad", id: "model-warnings" }, h("b", {}, "Reasons to doubt these metrics"),
    h("ul", {}, ...reasons.map((reason) => h("li", {}, reason))))];
}
