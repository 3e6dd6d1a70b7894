// The help dialog "How to read this": what the answers mean, and the metrics of the model's manifest.

import { byId, h } from "./dom.js";
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
    h("h3", {}, "Your frames"),
    h("p", {}, "A frame is sent to this service without its file name. The service does not store it, and this page stores " +
      "nothing: all frames and answers are gone when you close it."),
  );
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
    h("p", {}, "A plane counts as found when one frame was confidently recognized as it, and as not found only after every file " +
      "was read, loops frame by frame. “Most probable” is not “best”: the service does not assess whether a frame is good " +
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
  const rows = model.metrics.map(({ metric, subset, split, n, value, low, high }) => {
    const interval = ![low, high].every(Number.isFinite) ? "" : ` (${low.toFixed(3)} to ${high.toFixed(3)})`;
    return h("tr", {}, h("th", { scope: "row" }, `${METRIC_NAMES[metric] ?? metric}, ${subset} planes`),
      h("td", {}, `${value.toFixed(3)}${interval}`), h("td", {}, `${split}, ${plural(n, "frame")}`));
  });
  const heads = ["Metric", "Value (95 % interval)", "Measured on"].map((text) => h("th", { scope: "col" }, text));
  return [
    h("h3", {}, "Metrics of this model"),
    h("p", {}, `${model.name} ${model.version}, trained on ${plural(data.train_frames, "frame")} of ` +
      `${patients} from ${data.name} (${data.license}; ${data.citation}). On other scanners, ` +
      "settings or populations its accuracy is unknown."),
    rows.length
      ? h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))
      : h("p", {}, "The manifest has no metrics."),
  ];
}
