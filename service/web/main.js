// Start the page: create its parts and connect their events.

import { Answer } from "./answer.js";
import { Compare } from "./compare.js";
import { Corrections } from "./corrections.js";
import { byId, oncePerFrame, setText, throttle } from "./dom.js";
import { startDuplicates } from "./duplicates.js";
import { ExamView } from "./exam.js";
import { saveAnswers } from "./export.js";
import { startFiles } from "./files.js";
import { FrameList } from "./frame_list.js";
import { doubts, fillHelp, startHelp } from "./help.js";
import { startKeyForm } from "./key_form.js";
import { startKeys } from "./keys.js";
import { LiveView } from "./live.js";
import { isUnfinished } from "./outcome.js";
import { Pictures } from "./pictures.js";
import { startPrint } from "./print.js";
import { announce, startProgress } from "./progress.js";
import { Queue } from "./queue.js";
import { ReviewPanel } from "./review_panel.js";
import { saveReviewed, startSaving } from "./reviewed_frames.js";
import { Reviewing } from "./reviewing.js";
import { Selection } from "./selection.js";
import { Service } from "./service.js";
import { Session } from "./session.js";
import { startSummary } from "./summary.js";
import { startTheme } from "./theme.js";
import { History, undoRemovals } from "./undo.js";
import { Viewer } from "./viewer.js";
import { Views } from "./views.js";
import { Zoom } from "./zoom.js";

const service = new Service();
const session = new Session();
const pictures = new Pictures(session, service);
const queue = new Queue(session, service, pictures);
const zoom = new Zoom();
const viewer = new Viewer(session, queue, pictures, zoom);
const compare = new Compare(session, viewer);
const answer = new Answer(session, queue, viewer);
const frameList = new FrameList(session);
const exam = new ExamView(session, queue, (item, index) => views.openFrame(item, index), service);
const live = new LiveView(service, exam, (files) => {
  addFiles(files);
  views.land();
});
const views = new Views(session, exam, frameList, live);
const history = new History(() => views.focus());
const reviewing = new Reviewing({ session, history, views, exam, frameList, answer });
const corrections = new Corrections(session, service, () => exam.protocol);
const reviewPanel = new ReviewPanel(session, reviewing);
const findDuplicates = startDuplicates(session);
const askForKey = startKeyForm(service, start);
let model = null;
let serviceVersion = "";
const RETRY_MS = 5000; // until the next attempt, if the service refuses to describe its model
const MANY = 10; // files at once, from which on their exam is the first thing to see

const showChosen = oncePerFrame(() => {
  const item = session.chosen;
  if (!item) return;
  viewer.show(item);
  answer.show(item);
  reviewPanel.show(item);
  compare.show(item);
});
const showExam = throttle(() => views.refresh());
queue.addEventListener("progress", showExam);

// Redraw the chosen frame only if something visible has changed.
let lastShown = [];
function showIfChanged(item) {
  if (item !== session.chosen) return;
  const now = [item, item.shown, item.result, item.count, item.version, item.cine];
  if (now.every((each, index) => each === lastShown[index])) return;
  lastShown = now;
  showChosen();
}

session.addEventListener("choice", () => session.chosen && showIfChanged(session.chosen));
session.addEventListener("item", ({ detail }) => {
  showIfChanged(detail);
  showExam();
});

function addFiles(files, { folder = false } = {}) {
  if (!files.length) return announce("No files were found in what was added.");
  const focusLost = byId("welcome").contains(document.activeElement);
  const items = session.add(files);
  for (const item of items) queue.classify(item, 0);
  findDuplicates(items);
  if (folder || files.length >= MANY) views.land();
  else if (focusLost) frameList.focus(); // the focused button disappears with the welcome section
}

// Show one kind of files in the list.
function filterList(kind) {
  views.show("frames");
  session.show(kind);
  const { visible } = frameList;
  if (visible.length && !visible.includes(session.chosen)) session.choose(visible[0]);
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
    const described = await service.model();
    const { workers, service_version: version, corrections: keeps, correction_frames: keepsFrames } = await service.health();
    useProtocols(await service.protocols());
    serviceVersion = version;
    model = described;
    byId("key-form").hidden = true;
    for (const part of [viewer, answer, exam, live, reviewPanel]) part.model = model;
    byId("model").classList.remove("bad");
    setText(byId("model"), `Service ${version} · model ${model.name} ${model.version} · ${model.planes.length} classes${doubts(model)}`);
    fillHelp(model);
    service.keeps = keeps;
    corrections.start(keeps, keepsFrames);
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

// Keep the protocol that a person chose, as long as the service has it.
function useProtocols({ default: byDefault, protocols }) {
  const find = (id) => protocols.find((each) => each.id === id);
  Object.assign(exam, { protocols, protocol: find(exam.protocol?.id) ?? find(byDefault) });
}

// Save answers of all files, or of those that are selected.
function save(kind, items = session.items) {
  if (!model) return;
  const part = items === session.items ? "" : "-selected";
  const sorted = exam.sorted(items);
  const say = (said) => setText(byId("selection-status"), said);
  if (kind === "report") {
    say("The service makes the report…");
    exam.save(sorted, part).then(say);
  } else if (kind === "zip") saveReviewed(kind, items, session, service, part).then(say);
  else saveAnswers(kind, sorted, model, part);
  if (!part && kind !== "zip") session.saved();
}

startTheme();
startHelp();
startProgress(queue, service);
startSaving(session, service);
startFiles(addFiles);
byId("example").addEventListener("click", addExample);
frameList.selection = new Selection(session, { save, visible: () => frameList.visible });
startSummary(session, queue, filterList);
undoRemovals(session, history, (places) => queue.resume(places));
for (const kind of ["json", "csv"]) byId(`export-${kind}`).addEventListener("click", () => save(kind));
byId("start-live").addEventListener("click", () => {
  views.show("live");
  views.focus();
});
byId("clear").addEventListener("click", () => session.remove(session.items));
service.addEventListener("back", () => model && start()); // it may have another model now, or ask for a key
addEventListener("beforeunload", (event) => (isUnfinished(session) || live.unsaved) && event.preventDefault());
startPrint(session, () => ({ exam: views.shown === "exam", service: serviceVersion, model }));
startKeys({
  session, zoom, viewer, compare, frameList, live, reviewing,
  changeView: () => views.show(views.shown === "exam" ? "frames" : "exam"),
});
start();
