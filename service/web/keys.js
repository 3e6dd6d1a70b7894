// The page by keyboard: single keys, arrow keys in groups of buttons and on the picture.

import { byId } from "./dom.js";
import { startHold } from "./hold.js";
import { SUB_PLANE_KEYS } from "./reviewing.js";
import { roving } from "./roving.js";
import { startShortcuts } from "./shortcuts.js";

const PICTURE_STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }; // while it is not enlarged

export function startKeys({ session, zoom, viewer, compare, frameList, live, reviewing, changeView }) {
  startShortcuts({
    zoomIn: zoom.in,
    zoomOut: zoom.out,
    zoomReset: () => zoom.reset(),
    hold: startHold(viewer),
    next: () => frameList.step(1),
    previous: () => frameList.step(-1),
    compare: () => compare.toggle(),
    confirm: () => reviewing.confirm(),
    reject: () => reviewing.reject(),
    plane: (key) => reviewing.plane(Number(key) - 1),
    subPlane: (key) => reviewing.subPlane(SUB_PLANE_KEYS.indexOf(key)),
    keep: () => live.keep(),
    undoKeep: () => live.undo(),
    view: () => session.items.length && changeView(),
    help: () => byId("help").showModal(),
    escape: () => compare.on && compare.stop(),
  });
  roving(byId("skip"), "a");
  for (const id of ["summary", "undo-bar", "review-bar", "review", "selection"]) roving(byId(id));
  for (const toolbar of document.querySelectorAll('[role="toolbar"]')) roving(toolbar);
  byId("picture").addEventListener("keydown", ({ key, defaultPrevented }) => {
    if (!defaultPrevented && zoom.scale === 1 && key in PICTURE_STEPS) frameList.step(PICTURE_STEPS[key]);
  });
}
