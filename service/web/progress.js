// The progress of a batch: a bar, a line of text, and announcements for screen readers at start and end.

import { byId, setText, throttle } from "./dom.js";
import { duration, plural } from "./text.js";

const MIN_FRAMES = 3; // fewer frames are done before a bar could be read
const TICK_MS = 1000; // of the seconds until the next attempt

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
  const watch = () => {
    refresh();
    wasBusy = isHeld(service);
    if (wasBusy) setTimeout(watch, Math.min(TICK_MS, service.busyFor * 1000 + 50));
  };
  queue.addEventListener("progress", refresh);
  service.addEventListener("busy", () => {
    if (wasBusy) return;
    if (!service.lost) announce("The service is busy. The page continues automatically.");
    watch();
  });
  service.addEventListener("lost", () => announce("No connection to the service. The page keeps the files and tries again."));
  service.addEventListener("back", () => announce("The service answers again. Reading goes on."));
  byId("stop").addEventListener("click", () => queue.stop());
}

export const announce = (text) => setText(byId("live"), text);

const isHeld = (service) => service.lost || service.busyFor > 0;

function show(queue, service) {
  const held = isHeld(service);
  const running = queue.left > 0;
  byId("progress").hidden = !((running && queue.total >= MIN_FRAMES) || held);
  byId("progress").classList.toggle("lost", service.lost);
  byId("stop").hidden = !running;
  byId("progress-bar").max = Math.max(1, queue.total);
  byId("progress-bar").value = queue.done;
  setText(byId("progress-text"), held ? `${holdText(service)} ${count(queue)}` : line(queue));
  document.title = running ? `${queue.done}/${queue.total} · Fetal Planes` : "Fetal Planes";
}

function holdText({ lost, busyFor }) {
  const when = busyFor > 0 ? `trying again in ${duration(busyFor)}` : "trying again";
  return lost ? `No connection, ${when}.` : `The service is busy; ${when}.`;
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
