// A tile: the thumbnail, plane, probability and name of a frame, in the list and in the exam.

import { h, setText } from "./dom.js";
import { drawThumbnail } from "./pictures.js";
import { corrected, wordOf } from "./review.js";
import { hasGuess, summary } from "./text.js";

export const tileParts = () => [
  h("canvas", { class: "thumb", width: 176, height: 132, "aria-hidden": "true" }),
  h("span", { class: "tile-text" },
    h("span", { class: "tile-plane" }),
    h("span", { class: "tile-value" }),
    h("span", { class: "tile-bar", "aria-hidden": "true" }, h("i")),
    h("span", { class: "tile-name" })),
];

// Update a tile from a frame of an item.
export function updateTile(tile, item, index) {
  const result = item.results.get(index);
  const { kind, text, value, share, verdict = "" } = tileSummary(result, item.reviews.get(index));
  tile.dataset.kind = kind;
  if (verdict) tile.dataset.verdict = verdict;
  else delete tile.dataset.verdict;
  setText(tile.querySelector(".tile-plane"), text);
  setText(tile.querySelector(".tile-value"), value);
  setText(tile.querySelector(".tile-name"), item.count > 1 ? `${item.name} · ${index + 1}/${item.count}` : item.name);
  tile.title = item.name;
  tile.querySelector(".tile-bar i").style.setProperty("--share", share);
  drawThumbnail(tile.querySelector(".thumb"), item.thumbnails.get(index) ?? item.thumbnails.get(0));
}

// The summary of a result as it counts; of a review before the answer there is only the plane.
function tileSummary(result, review) {
  const { answer } = result ?? {};
  if (!review || !answer) {
    const share = answer && hasGuess(answer) ? answer.predictions[0].probability : 0;
    const before = review && result?.state !== "refused" ? { value: "reviewed" } : {};
    return { share, ...summary(result), ...before };
  }
  const counted = corrected(answer, review);
  const { verdict } = counted.correction;
  const [first] = counted.predictions;
  const kind = counted.abstain ? "no-plane" : "answered";
  return { kind, verdict, text: counted.abstain ? "No plane" : first.label, value: wordOf(verdict), share: verdict === "accepted" && !counted.abstain ? first.probability : 0 };
}
