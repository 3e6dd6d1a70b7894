// Single keys for what is done often. They can be switched off in the help, for people who dictate (WCAG 2.1.4).

import { byId } from "./dom.js";

// Keys, what they do in words, and the action's name.
export const SHORTCUTS = [
  [["+"], "enlarge the picture", "zoomIn"],
  [["−"], "make it smaller", "zoomOut"],
  [["0"], "show the whole frame", "zoomReset"],
  [["H"], "held: hide the heat map, or show a hidden one", "hold"],
  [["N"], "next file", "next"],
  [["P"], "previous file", "previous"],
  [["C"], "compare this frame with another", "compare"],
  [["Y"], "confirm the answer, and go to the next frame to review", "confirm"],
  [["X"], "reject it: the frame shows no plane", "reject"],
  [["1", "9"], "the frame shows the plane with this number", "plane"],
  [["A", "S", "D", "F", "G"], "it shows the sub-plane with this letter", "subPlane"],
  [["K"], "live: keep this frame (a foot switch can send it)", "keep"],
  [["U"], "live: take the last kept frame back", "undoKeep"],
  [["V"], "change between frames and exam", "view"],
  [["?"], "this help", "help"],
];
// Keys that need no switch, in the help only.
export const OTHER_KEYS = [
  [["Arrow keys", "Home", "End"], "move in the list, the exam, a loop or a row of buttons"],
  [["Arrow keys"], "on the picture: move it if it is enlarged, otherwise show the next file"],
  [["Escape"], "end the comparison, or select no file"],
  [["Space"], "in the list: select the file"],
  [["Ctrl", "A"], "in the list: select all files"],
  [["Delete"], "in the list: remove the file, or those selected"],
  [["Ctrl", "Z"], "bring back what was removed, take back a review"],
  [["Ctrl", "Y"], "do it again"],
  [["Ctrl", "P"], "print"],
];

let enabled = true;
export const singleKeys = {
  get on() {
    return enabled;
  },
  set on(value) {
    enabled = value;
  },
};

const ACTIONS = new Map(SHORTCUTS.flatMap(([keys, , action]) => keys.map((key) => [key.toLowerCase(), action])));
for (const [key, action] of [["=", "zoomIn"], ["-", "zoomOut"], ...[..."2345678"].map((digit) => [digit, "plane"])]) ACTIONS.set(key, action);

// `actions` has a function for each name; `hold` has {press, release}.
export function startShortcuts(actions) {
  addEventListener("keydown", (event) => {
    const action = actionOf(event);
    if (event.key === "Escape" && !event.defaultPrevented && !byId("help").open) actions.escape();
    if (!action) return;
    event.preventDefault();
    if (action === "hold") actions.hold.press();
    else if (!event.repeat || action.startsWith("zoom") || action === "next" || action === "previous") actions[action](event.key.toLowerCase());
  });
  addEventListener("keyup", (event) => event.key.toLowerCase() === "h" && actions.hold.release());
}

function actionOf(event) {
  const typing = event.target.matches?.('input[type="password"], input[type="text"], input[type="search"], textarea, select');
  if (!enabled || typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return null;
  return ACTIONS.get(event.key.toLowerCase()) ?? null;
}
