// Start the page: create its parts and connect their events.

import { Answer } from "./answer.js";
import { Compare } from "./compare.js";
import { byId, oncePerFrame, setText } from "./dom.js";
import { ExamView } from "./exam.js";
import { asCsv, asJson, save } from "./export.js";
import { startFiles } from "./files.js";
import { FrameList } from "./frame_list.js";
import { doubts, fillHelp, startHelp } from "./help.js";
import { startKeys } from "./keys.js";
import { Pictures } from "./pictures.js";
import { startPrint } from "./print.js";
import { announce, startProgress } from "./progress.js";
import { Queue } from "./queue.js";
import { Service } from "./service.js";
import { Session } from "./session.js";
import { startTheme } from "./theme.js";
import { Viewer } from "./viewer.js";
import { Zoom } from "./zoom.js";

const service = new Service();
const session = new Session();
const pictures = new Pictures(session, service);
const queue = new Queue(session, service, pictures);
const zoom = new Zoom();
const viewer = new Viewer(session, queue, pictures, zoom);
const compare = new Compare(session, viewer);
const answer = new Answer(session, queue, viewer);
const exam = new ExamView(session, queue, openFrame, service);
let model = null;
let serviceVersion = "";
let view = "frames";
const RETRY_MS = 5000; // until the next attempt to reach a service that does not answer

function openFrame(item, index) {
  show("frames");
  session.choose(item, index);
  frameList.focus();
}

function show(name) {
  view = name;
  for (const each of ["frames", "exam"]) byId(`view-${each}`).setAttribute("aria-pressed", String(each === name));
  arrange();
}

function arrange() {
  const hasItems = session.items.length > 0;
  byId("welcome").hidden = hasItems;
  byId("views").hidden = !hasItems;
  byId("export").hidden = !hasItems;
  byId("frames").hidden = !hasItems || view !== "frames";
  byId("exam").hidden = !hasItems || view !== "exam";
  if (hasItems && view === "exam") exam.show();
}

const showChosen = oncePerFrame(() => {
  const item = session.chosen;
  if (!item) return;
  viewer.show(item);
  answer.show(item);
  compare.show(item);
});
queue.addEventListener("progress", () => showExam());
const showExam = oncePerFrame(() => view === "exam" && exam.show());

// Redraw the chosen frame only if something visible has changed.
let lastShown = [];
function showIfChanged(item) {
  if (item !== session.chosen) return;
  const now = [item, item.shown, item.result, item.count, item.version, item.cine];
  if (now.every((each, index) => each === lastShown[index])) return;
  lastShown = now;
  showChosen();
}

session.addEventListener("list", arrange);
session.addEventListener("choice", () => session.chosen && showIfChanged(session.chosen));
session.addEventListener("item", ({ detail }) => {
  showIfChanged(detail);
  showExam();
});

function addFiles(files) {
  if (!files.length) return announce("No files were found in what was added.");
  const focusLost = byId("welcome").contains(document.activeElement);
  for (const item of session.add(files)) queue.classify(item, 0);
  if (focusLost) frameList.focus(); // the focused button disappears with the welcome section
}

// Add the drawn example files; they say that they are drawn.
async function addExample() {
  byId("example").disabled = true;
  try {
    addFiles((await service.samples()).map((file) => ({ file, name: `example/${file.name}` })));
  } catch (refusal) {
    announce(`The example cannot be loaded: ${refusal.detail}`);
  }
  byId("example").disabled = false;
}

async function start() {
  try {
    model = await service.model();
    const { workers, expected_planes: expected, service_version: version } = await service.health();
    serviceVersion = version;
    byId("key-form").hidden = true;
    Object.assign(viewer, { model });
    Object.assign(answer, { model });
    Object.assign(exam, { model, expected: new Set(expected) });
    byId("model").classList.remove("bad");
    setText(byId("model"), `Service ${version} · model ${model.name} ${model.version} · ${model.planes.length} classes${doubts(model)}`);
    fillHelp(model);
    queue.start(model.planes, workers.count);
    const formats = (await service.interface()).components.schemas.FrameInfo.properties.format.enum;
    setText(byId("formats"), `Formats: ${formats.map((each) => each.toUpperCase()).join(", ")}, with one or many frames.`);
  } catch (refusal) {
    setText(byId("model"), `No model: ${refusal.detail}`);
    byId("model").classList.add("bad");
    if (refusal.status === 401) askForKey();
    else setTimeout(start, RETRY_MS);
  }
}

let keyRejected = false;
function askForKey() {
  setText(byId("model"), "No model: the service requires an API key.");
  setText(byId("key-problem"), keyRejected ? "The service does not accept this key." : "");
  byId("key-form").hidden = false;
  byId("key").focus();
  keyRejected = true; // the form appears again only after a key that was not accepted
}

function saveAs(kind) {
  const texts = { json: [asJson, "application/json"], csv: [asCsv, "text/csv;charset=utf-8"] };
  const [write, type] = texts[kind];
  const sorted = exam.sorted();
  save(write(session.items, model, sorted), type, `fetal-planes${sorted.left ? "-unfinished" : ""}.${kind}`);
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  service.useKey(byId("key").value.trim());
  byId("key").value = "";
  start();
});
startTheme();
startHelp();
startProgress(queue, service);
startFiles(addFiles);
byId("example").addEventListener("click", addExample);
const frameList = new FrameList(session);
startPrint(session, () => ({ exam: view === "exam", service: serviceVersion, model }));
startKeys({ session, zoom, viewer, compare, frameList, changeView: () => show(view === "exam" ? "frames" : "exam") });
byId("view-frames").addEventListener("click", () => show("frames"));
byId("view-exam").addEventListener("click", () => show("exam"));
byId("clear").addEventListener("click", () => {
  session.clear();
  byId("main").focus();
});
for (const kind of ["json", "csv"]) byId(`export-${kind}`).addEventListener("click", () => model && saveAs(kind));
start();
