// "How to read this": what the answers mean, and the model's own figures, all from its manifest.

import { byId, h } from "./dom.js";
import { plural, roundPercent } from "./words.js";

export function startNote() {
  byId("open-note").addEventListener("click", () => byId("note").showModal());
  fillNote(null);
}

export function fillNote(model) {
  byId("note").replaceChildren(
    h("div", { class: "bar" },
      h("h2", { id: "note-title" }, "How to read this"), h("span", { class: "spread" }),
      h("button", { type: "button", onclick: () => byId("note").close() }, "Close")),
    h("p", {}, h("b", {}, "Research use only. Not a medical device."), " Nothing here may decide about a patient."),
    ...(model ? [...answers(model), ...figures(model)] : [h("p", {}, "The model’s figures are not here yet.")]),
    h("h3", {}, "Your frames"),
    h("p", {}, "A frame goes to this service as bare bytes, without its file’s name. The service keeps nothing of it, " +
      "and this page stores nothing: close it, and all is gone."),
  );
}

function answers(model) {
  const { min_probability: least } = model.abstention;
  return [
    h("h3", {}, "The answer"),
    h("p", {}, `The model knows ${plural(model.planes.length, "class", "classes")}: ${model.planes.map(({ label }) => label).join(", ")}. ` +
      "Every frame gets a probability for each. Probabilities are calibrated: of all frames answered with 80 %, about " +
      "80 in 100 are right, as long as they are frames like those that the model was made with."),
    h("p", {}, h("b", {}, "Not sure"), ` means just that: no plane reaches ${roundPercent(least)}, or the frame is unlike those of ` +
      "the training. A person has to look."),
    h("h3", {}, "The heat map"),
    h("p", {}, "It shows which places raised the score of the plane that you chose (Grad-CAM). It is coarse, it is no " +
      "outline of anatomy, and no proof that the plane is sound. Each map is scaled to its own strongest place, so " +
      "that a faint reason looks as bright as a strong one: compare the peaks, which stand under the probabilities."),
    h("h3", {}, "The exam view"),
    h("p", {}, "A plane counts as there when one frame was surely recognized as it. Whether that frame is good enough " +
      "to measure on is not judged."),
  ];
}

function figures(model) {
  const { training_data: data } = model;
  const rows = model.metrics.map(({ metric, subset, split, n, value }) =>
    h("tr", {}, h("th", { scope: "row" }, `${metric}, ${subset} planes`), h("td", {}, value.toFixed(3)),
      h("td", {}, `${split}, ${plural(n, "frame")}`)));
  const heads = ["Figure", "Value", "Measured on"].map((text) => h("th", { scope: "col" }, text));
  return [
    h("h3", {}, "This model’s figures"),
    h("p", {}, `${model.name} ${model.version}, trained on ${plural(data.train_frames, "frame")} of ` +
      `${plural(data.train_patients, "woman", "women")} from ${data.name} (${data.license}; ${data.citation}). On other machines, ` +
      "settings or populations its accuracy is unknown."),
    rows.length
      ? h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))
      : h("p", {}, "Its manifest holds no figures."),
  ];
}
