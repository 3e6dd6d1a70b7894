// How far a batch has come: a bar, a line of words, and at its milestones a line for screen readers.

import { byId, setText, soon } from "./dom.js";
import { duration, plural } from "./words.js";

const SHOWN_FROM = 3; // frames; fewer are read before a bar could be looked at

export function startProgress(reader, service) {
  let wasBusy = false;
  let speaking = false;
  let told = 0; // frames, when the end of a batch was last told: a quick one is over before its beginning could be
  const refresh = soon(() => {
    show(reader, service);
    told = Math.min(told, reader.total);
    const long = reader.total >= SHOWN_FROM;
    if (reader.left > 0 && !speaking && long) {
      speaking = true;
      if (!wasBusy) say(`Reading ${plural(reader.total, "frame")}.`);
    } else if (reader.left === 0 && (speaking || (long && reader.total !== told))) {
      speaking = false;
      told = reader.total;
      if (reader.total) say(summary(reader));
    }
  });
  reader.addEventListener("progress", refresh);
  service.addEventListener("busy", () => {
    if (!wasBusy) say("The service is busy. The page goes on by itself when it is free.");
    wasBusy = true;
    setTimeout(() => { wasBusy = service.busyFor > 0; refresh(); }, service.busyFor * 1000 + 300);
    refresh();
  });
  byId("stop").addEventListener("click", () => reader.stop());
}

export const say = (text) => setText(byId("live"), text);

function show(reader, service) {
  const busy = service.busyFor > 0;
  const running = reader.left > 0;
  byId("progress").hidden = !((running && reader.total >= SHOWN_FROM) || busy);
  byId("stop").hidden = !running;
  byId("progress-bar").max = Math.max(1, reader.total);
  byId("progress-bar").value = reader.done;
  setText(byId("progress-text"), busy ? `The service is busy; trying again in ${duration(service.busyFor)}. ${count(reader)}` : line(reader));
  document.title = running ? `${reader.done}/${reader.total} · Fetal Planes` : "Fetal Planes";
}

const count = (reader) => (reader.total ? `${reader.done} of ${plural(reader.total, "frame")} done.` : "");

function line(reader) {
  const left = reader.secondsLeft;
  return `${count(reader)}${reader.refused ? ` ${reader.refused} not read.` : ""}${left ? ` About ${duration(left)} left.` : ""}`;
}

function summary({ total, answered, abstained, refused }) {
  const parts = [`${answered} answered`, abstained && `${abstained} not sure`, refused && `${refused} not read`].filter(Boolean);
  return `${plural(total, "frame")} done: ${parts.join(", ")}.`;
}
