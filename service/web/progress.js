// The progress of a batch: a bar, a line of text, and announcements for screen readers at start and end.

import { byId, setText, throttle } from "./dom.js";
import { duration, plural } from "./text.js";

const MIN_FRAMES = 3; // fewer frames are done before a bar could be read

export function startProgress(queue, service) {
  let wasBusy = false;
  let running = false;
  let announced = 0; // frames at the last announced end; a short batch may end before its start is announced
  const refresh = throttle(() => {
    show(queue, service);
    announced = Math.min(announced, queue.total);
    const long = queue.total >= MIN_FRAMES;
    if (queue.left > 0 && !running && long) {
      running = true;
      if (!wasBusy) announce(`Classifying ${plural(queue.total, "frame")}.`);
    } else if (queue.left === 0 && (running || (long && queue.total !== announced))) {
      running = false;
      announced = queue.total;
      if (queue.total) announce(summary(queue));
    }
  });
  queue.addEventListener("progress", refresh);
  service.addEventListener("busy", () => {
    if (!wasBusy) announce("The service is busy. The page continues automatically.");
    wasBusy = true;
    setTimeout(() => { wasBusy = service.busyFor > 0; refresh(); }, service.busyFor * 1000 + 300);
    refresh();
  });
  byId("stop").addEventListener("click", () => queue.stop());
}

export const announce = (text) => setText(byId("live"), text);

function show(queue, service) {
  const busy = service.busyFor > 0;
  const running = queue.left > 0;
  byId("progress").hidden = !((running && queue.total >= MIN_FRAMES) || busy);
  byId("stop").hidden = !running;
  byId("progress-bar").max = Math.max(1, queue.total);
  byId("progress-bar").value = queue.done;
  setText(byId("progress-text"), busy ? `The service is busy; trying again in ${duration(service.busyFor)}. ${count(queue)}` : line(queue));
  document.title = running ? `${queue.done}/${queue.total} · Fetal Planes` : "Fetal Planes";
}

const count = (queue) => (queue.total ? `${queue.done} of ${plural(queue.total, "frame")} done.` : "");

function line(queue) {
  const left = queue.secondsLeft;
  return `${count(queue)}${queue.refused ? ` ${queue.refused} not classified.` : ""}${left ? ` About ${duration(left)} left.` : ""}`;
}

function summary({ total, answered, abstained, refused }) {
  const parts = [`${answered} classified`, abstained && `${abstained} not sure`, refused && `${refused} not classified`].filter(Boolean);
  return `${plural(total, "frame")} done: ${parts.join(", ")}.`;
}
