// Puts the page together.

import { Answer } from "./answer.js";
import { byId, oncePerFrame, setText } from "./dom.js";
import { ExamView } from "./exam.js";
import { asCsv, asJson, save } from "./export.js";
import { startFiles } from "./files.js";
import { Film } from "./film.js";
import { fillNote, startNote } from "./note.js";
import { Pictures } from "./pictures.js";
import { say, startProgress } from "./progress.js";
import { Reader } from "./reader.js";
import { Service } from "./service.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { startTheme } from "./theme.js";

const service = new Service();
const session = new Session();
const pictures = new Pictures(session, service);
const reader = new Reader(session, service, pictures);
const stage = new Stage(session, reader, pictures);
const answer = new Answer(session, reader, stage);
const exam = new ExamView(session, openFrame, service);
let model = null;
let view = "frames";
const AGAIN_MS = 5000; // between two tries to reach a service that does not answer

function openFrame(item, index) {
  show("frames");
  session.choose(item, index);
  film.focus();
}

function show(name) {
  view = name;
  for (const each of ["frames", "exam"]) byId(`view-${each}`).setAttribute("aria-pressed", String(each === name));
  arrange();
}

function arrange() {
  const some = session.items.length > 0;
  byId("welcome").hidden = some;
  byId("views").hidden = !some;
  byId("export").hidden = !some;
  byId("frames").hidden = !some || view !== "frames";
  byId("exam").hidden = !some || view !== "exam";
  if (some && view === "exam") exam.show();
}

const showChosen = oncePerFrame(() => {
  const item = session.chosen;
  if (!item) return;
  stage.show(item);
  answer.show(item);
});
const showExam = oncePerFrame(() => view === "exam" && exam.show());

// The chosen frame is shown anew only when something that shows has changed: its reading or its number of frames.
let lastShown = [];
function showIfChanged(item) {
  if (item !== session.chosen) return;
  const now = [item, item.shown, item.reading, item.count, item.version, item.cine];
  if (now.every((each, place) => each === lastShown[place])) return;
  lastShown = now;
  showChosen();
}

session.addEventListener("list", arrange);
session.addEventListener("choice", () => session.chosen && showIfChanged(session.chosen));
session.addEventListener("item", ({ detail }) => {
  showIfChanged(detail);
  showExam();
});

function take(files) {
  if (!files.length) return say("There was no file among what was added.");
  const lost = byId("welcome").contains(document.activeElement);
  for (const item of session.add(files)) reader.read(item, 0);
  if (lost) film.focus(); // what had the keyboard is gone with the welcome
}

async function start() {
  try {
    model = await service.model();
    const { workers, expected_planes: expected } = await service.health();
    byId("key-form").hidden = true;
    Object.assign(stage, { model });
    Object.assign(answer, { model });
    Object.assign(exam, { model, expected: new Set(expected) });
    byId("model").classList.remove("bad");
    setText(byId("model"), `${model.name} ${model.version} · ${model.planes.length} classes`);
    fillNote(model);
    reader.start(model.planes, workers.count);
    const formats = (await service.interface()).components.schemas.FrameInfo.properties.format.enum;
    setText(byId("formats"), `Reads ${formats.map((each) => each.toUpperCase()).join(", ")}; of files with many frames each one.`);
  } catch (refusal) {
    setText(byId("model"), `No model: ${refusal.detail}`);
    byId("model").classList.add("bad");
    if (refusal.status === 401) askForKey();
    else setTimeout(start, AGAIN_MS);
  }
}

let asked = false;
function askForKey() {
  setText(byId("model"), "No model: a key is asked for.");
  setText(byId("key-problem"), asked ? "This key is not known here." : "");
  byId("key-form").hidden = false;
  byId("key").focus();
  asked = true;
}

function saveAs(kind) {
  const texts = { json: [asJson, "application/json"], csv: [asCsv, "text/csv;charset=utf-8"] };
  const [write, type] = texts[kind];
  save(write(session.items, model), type, `fetal-planes.${kind}`);
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  service.useKey(byId("key").value.trim());
  byId("key").value = "";
  start();
});
startTheme();
startNote();
startProgress(reader, service);
startFiles(take);
const film = new Film(session);
byId("view-frames").addEventListener("click", () => show("frames"));
byId("view-exam").addEventListener("click", () => show("exam"));
byId("clear").addEventListener("click", () => {
  session.clear();
  byId("main").focus();
});
for (const kind of ["json", "csv"]) byId(`export-${kind}`).addEventListener("click", () => model && saveAs(kind));
start();
