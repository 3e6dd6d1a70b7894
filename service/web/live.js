// The live view: a source, the crop, the state in large letters, the protocol that fills, and the kept frames at the end.

import { byId, h, setText, throttle } from "./dom.js";
import { save } from "./export.js";
import { LiveCrop, startCorrection } from "./live_crop.js";
import { calm, LiveFrames, liveItems } from "./live_frames.js";
import { LiveLoop } from "./live_loop.js";
import { LivePicture } from "./live_picture.js";
import { LiveSource } from "./live_source.js";
import { announce } from "./progress.js";
import { aboutProtocol, checklist, protocolChoice } from "./protocol.js";
import { percent, plural, REASONS } from "./text.js";
import { zip } from "./zip.js";

// `exam` has the protocols and the chosen one; `finish` receives the kept frames as files.
export class LiveView {
  #frames = null;
  #calm = calm();
  #explaining = null;
  #listed = null; // the protocol whose name and source are shown
  #saved = true;

  constructor(service, exam, finish) {
    Object.assign(this, { service, exam, finish, model: null, video: byId("live-video"), crop: new LiveCrop() });
    this.source = new LiveSource(this.video);
    this.loop = new LiveLoop(service, this.video, this.crop);
    this.picture = new LivePicture(this.video, this.crop);
    this.draw = throttle(() => this.picture.draw(this.source.running));
    this.source.addEventListener("note", ({ detail }) => this.#note(detail));
    this.source.addEventListener("started", () => this.#begin());
    this.source.addEventListener("ended", () => this.#pause());
    this.crop.addEventListener("confirmed", () => this.#confirm());
    this.crop.addEventListener("doubted", () => this.#frames?.doubt());
    this.crop.addEventListener("change", ({ detail }) => this.#cropChanged(detail));
    this.loop.addEventListener("answer", ({ detail }) => this.#take(detail));
    this.loop.addEventListener("refused", ({ detail }) => this.#note(detail.detail));
    this.loop.addEventListener("speed", throttle(() => this.#speed()));
    for (const event of ["busy", "lost", "back"]) service.addEventListener(event, () => this.#connection());
    startCorrection(byId("live-overlay"), this.crop);
    new ResizeObserver(() => this.draw()).observe(this.video);
    this.#startButtons();
  }

  get unsaved() {
    return !this.#saved;
  }

  show() {
    this.source.list();
    this.#follow();
    this.#list();
  }

  // Keep the newest frame by hand, or take the last one back.
  keep() {
    if (!this.#frames?.keep()) return;
    this.#changed(`Kept by hand: ${plural(this.#frames.byHand.length, "frame")}.`);
  }

  undo() {
    if (this.#frames?.undo()) this.#changed(`Taken back. Kept by hand: ${plural(this.#frames.byHand.length, "frame")}.`);
  }

  #startButtons() {
    const on = (id, work) => byId(id).addEventListener("click", work);
    on("live-start", () => this.source.start());
    on("live-stop", () => {
      this.source.stop();
      this.#pause();
    });
    on("live-crop", () => this.crop.reset());
    on("live-keep", () => this.keep());
    on("live-undo", () => this.undo());
    on("live-zip", () => this.#saveZip());
    on("live-end", () => this.#end());
    on("live-clear", () => this.#forget());
  }

  #begin() {
    this.#frames ??= this.#newFrames();
    this.#frames.cut();
    Object.assign(this.loop, { query: { top: this.model.planes.length }, zoom: this.model.preprocessing.zoom ?? 1 });
    this.crop.reset();
    this.loop.start();
    this.#arrange();
  }

  #newFrames() {
    const { id, version, items } = this.exam.protocol;
    return Object.assign(new LiveFrames(this.model.planes, items), { protocol: `${id} ${version}` });
  }

  // Fill the protocol that is chosen now, here or in the exam; what a person kept stays.
  #follow() {
    const { protocol } = this.exam;
    if (!this.#frames || !protocol || this.#frames.protocol === `${protocol.id} ${protocol.version}`) return;
    const { byHand } = this.#frames;
    this.#frames = Object.assign(this.#newFrames(), { byHand });
  }

  #pause() {
    this.loop.stop();
    this.#frames?.cut();
    this.#state({ kind: "waiting" });
    this.#arrange();
  }

  #forget() {
    this.#frames = this.source.running ? this.#newFrames() : null;
    this.#saved = true;
    this.#list();
    this.#arrange();
  }

  #arrange() {
    const { running } = this.source;
    byId("live-start").hidden = running;
    for (const id of ["live-stop", "live-crop"]) byId(id).hidden = !running;
    byId("live-keep").disabled = !running;
    byId("live-undo").disabled = !this.#frames?.byHand.length;
    for (const id of ["live-end", "live-zip", "live-clear"]) byId(id).disabled = !this.#frames?.all.length;
  }

  #take(seen) {
    this.#state(this.#calm(this.#frames.add(seen), seen.at));
    this.#freeze(seen);
    this.draw();
  }

  // The frames since the last look at the layout count now.
  #confirm() {
    const times = () => JSON.stringify(liveItems(this.#frames).map(({ frames }) => frames.map(({ frame }) => frame.at)));
    const before = times();
    this.#frames.confirm();
    if (times() === before) return;
    const items = liveItems(this.#frames);
    const done = items.filter(({ state }) => state === "fulfilled").length;
    this.#changed(`${done} of ${plural(items.length, "item")} of the protocol.`);
  }

  #changed(text) {
    this.#saved = false;
    announce(text);
    this.#list();
    this.#arrange();
  }

  #state({ kind, label, certainty, reason }) {
    const box = byId("live-state");
    box.dataset.kind = kind;
    const names = { answered: label, abstained: REASONS[reason] === REASONS["no-plane"] ? "No plane" : REASONS[reason], waiting: "Waiting for a picture" };
    setText(byId("live-plane"), names[kind]);
    setText(byId("live-certainty"), kind === "answered" ? percent(certainty) : kind === "abstained" ? "Not sure" : "");
  }

  // The sonographer froze the picture: this frame is explained, once.
  async #freeze({ answer, blob, whole, sent }) {
    const { frozen } = this.#frames;
    byId("live-stage").dataset.frozen = String(frozen);
    if (!frozen) {
      this.#explaining = null;
      this.picture.explain(null);
      return setText(byId("live-frozen"), "");
    }
    if (this.#explaining || whole) return;
    const asked = this.#explaining = {};
    const shown = this.crop.box;
    const explained = await this.service.explain(blob, {}, AbortSignal.timeout(10_000)).catch(() => null);
    if (this.#explaining !== asked) return;
    if (!explained) {
      this.#explaining = null; // the next frame tries again
      return;
    }
    this.picture.explain(explained, this.model.preprocessing.size, sent, shown);
    setText(byId("live-frozen"), `Frozen. The heat map shows the evidence for ${answer.predictions[0].label}.`);
    this.draw();
  }

  #cropChanged(detail) {
    this.#frames?.cut();
    if (detail?.changed) this.#note("The layout changed: the crop was found again.");
    this.draw();
  }

  #list() {
    if (!this.exam.protocol) return;
    const choose = (chosen) => {
      this.exam.protocol = chosen;
      this.#follow();
      this.#list();
      byId("live-protocol").querySelector("select").focus();
    };
    const items = this.#frames ? liveItems(this.#frames) : this.exam.protocol.items.map((item) => ({ ...item, frames: [], state: "not-read-yet" }));
    const times = ({ frames }) => frames.length > 0 && h("span", { class: "muted" }, frames.map(({ frame }) => clock(frame.time)).join(", "));
    if (this.#listed !== this.exam.protocol) { // an open choice must not close with each frame
      this.#listed = this.exam.protocol;
      byId("live-protocol").replaceChildren(
        protocolChoice(this.exam.protocols, this.#listed, choose, "live-protocol-choice"), aboutProtocol(this.#listed));
    }
    byId("live-items").replaceChildren(checklist(items, times, "Not seen yet"));
    setText(byId("live-kept"), this.#frames?.byHand.length ? `Kept by hand: ${this.#frames.byHand.length}` : "");
  }

  #speed() {
    const { perSecond, dropped, sent, p50, p95 } = this.loop.speed;
    setText(byId("live-speed"), `${perSecond.toFixed(1)} frames per second, ${p50.toFixed(0)} ms from picture to label ` +
      `(95 %: ${p95.toFixed(0)} ms), ${sent} classified, ${dropped} dropped`);
  }

  #connection() {
    if (!this.source.running) return;
    const { lost, busyFor } = this.service;
    this.#note(lost ? "No connection to the service. The view goes on by itself." : busyFor > 0 ? "The service is busy." : "");
  }

  #note(text) {
    setText(byId("live-note"), text);
  }

  #files() {
    return this.#frames.all.map((frame, number) => {
      const name = `live-${String(number + 1).padStart(3, "0")}-${clock(frame.time).replace(":", "m")}s.jpg`;
      return { frame, name, file: new File([frame.blob], name, { type: "image/jpeg" }) };
    });
  }

  // The pictures with a manifest: time, items and answer of each.
  async #saveZip() {
    const files = this.#files();
    const { items: _, ...protocol } = this.exam.protocol;
    const frames = files.map(({ name, frame: { time, labels, answer } }) => ({ file: name, seconds: time, kept_for: labels, answer }));
    const manifest = JSON.stringify({ research_use_only: true, protocol, frames }, null, 2);
    const members = [...files.map(({ name, file }) => ({ name, blob: file })), { name: "manifest.json", blob: new Blob([manifest]) }];
    save(await zip(members), "application/zip", "live-exam.zip"); // at most some hundred pictures
    this.#saved = true;
  }

  // The kept frames become the exam: from here on they are files.
  #end() {
    const files = this.#files();
    this.source.stop();
    this.#pause();
    this.#frames = null;
    this.#saved = true;
    this.#arrange();
    this.finish(files.map(({ file, name }) => ({ file, name })));
  }
}

const clock = (seconds) => `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
