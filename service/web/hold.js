// Hide the heat map, or show a hidden one, while a key, the button or the picture is held.

import { byId } from "./dom.js";

const PICTURE_MS = 200; // a press on the picture; a shorter one may begin a drag
const DRAG_PX = 6;

// Return {press, release} for a key.
export function startHold(viewer) {
  const button = byId("hold");
  const set = (held) => {
    viewer.held = held;
    button.setAttribute("aria-pressed", String(held));
  };
  const [press, release] = [() => set(true), () => set(false)];
  const isKey = (event) => event.key === " " || event.key === "Enter";
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    press();
  });
  for (const kind of ["pointerup", "pointercancel", "blur"]) button.addEventListener(kind, release);
  button.addEventListener("keydown", (event) => isKey(event) && press());
  button.addEventListener("keyup", (event) => isKey(event) && release());
  addEventListener("blur", release);
  holdPicture(press, release);
  return { press, release };
}

function holdPicture(press, release) {
  const area = byId("pictures");
  let timer = 0;
  let start = null;
  const end = () => {
    if (!start) return;
    clearTimeout(timer);
    start = null;
    release();
  };
  area.addEventListener("pointerdown", (event) => {
    if (start) return end(); // a second finger begins a pinch
    if (event.button || !event.target.matches("canvas")) return;
    start = [event.clientX, event.clientY];
    timer = setTimeout(press, PICTURE_MS);
  });
  area.addEventListener("pointermove", (event) => {
    if (start && Math.hypot(event.clientX - start[0], event.clientY - start[1]) > DRAG_PX) end();
  });
  for (const kind of ["pointerup", "pointercancel"]) area.addEventListener(kind, end);
  area.addEventListener("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
}
