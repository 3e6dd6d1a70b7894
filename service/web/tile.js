// A tile: the thumbnail, plane, probability and name of a frame, in the list and in the exam.

import { h, setText } from "./dom.js";
import { drawThumbnail } from "./pictures.js";
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
  const { kind, text, value } = summary(result);
  tile.dataset.kind = kind;
  setText(tile.querySelector(".tile-plane"), text);
  setText(tile.querySelector(".tile-value"), value);
  setText(tile.querySelector(".tile-name"), item.count > 1 ? `${item.name} · ${index + 1}/${item.count}` : item.name);
  tile.title = item.name;
  tile.querySelector(".tile-bar i").style.setProperty("--share", result?.answer && hasGuess(result.answer) ? result.answer.predictions[0].probability : 0);
  drawThumbnail(tile.querySelector(".thumb"), item.thumbnails.get(index) ?? item.thumbnails.get(0));
}
