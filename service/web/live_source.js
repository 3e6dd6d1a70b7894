// The source of live frames: a camera or grabber, a window or the screen, or a video file that the browser plays.

import { byId, h } from "./dom.js";

const SIZES = [[1920, 1080], [1280, 720], [800, 600], [640, 480]];
const SCREEN = "screen";
const FILE = "file";

// Plays a source in `video`. Events: `note` (`detail` is a text), `ended` when the source is gone.
export class LiveSource extends EventTarget {
  #stream = null;
  #address = null;
  #wanted = null; // the camera that should run, also while it is unplugged
  #asked = null; // the last request for a source; an earlier one may still wait for the browser's permission

  constructor(video) {
    super();
    this.video = video;
    byId("live-size").replaceChildren(...SIZES.map(([width, height]) => h("option", { value: `${width}x${height}` }, `${width} × ${height}`)));
    byId("live-file").addEventListener("change", ({ target }) => this.#play(target.files[0]));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#devicesChanged());
    video.addEventListener("ended", () => this.#lost("The video has ended."));
  }

  get running() {
    return Boolean(this.#stream || this.#address);
  }

  // List what can be chosen. Cameras have names only after the browser's permission.
  async list() {
    const cameras = isSecureContext ? await navigator.mediaDevices.enumerateDevices().catch(() => []) : [];
    const found = cameras.filter(({ kind }) => kind === "videoinput")
      .map(({ deviceId, label }, number) => [`camera ${deviceId}`, label || `Camera or grabber ${number + 1}`]);
    const screen = isSecureContext && navigator.mediaDevices.getDisplayMedia ? [[SCREEN, "A window or the screen"]] : [];
    const { value } = byId("live-device");
    const options = [...found, ...screen, [FILE, "A video file"]];
    byId("live-device").replaceChildren(...options.map(([id, text]) => h("option", { value: id, selected: id === value }, text)));
    if (!isSecureContext) {
      this.#note("Browsers give cameras and screens to secure pages only. Open this page as localhost on the computer of " +
        "the service, or let the operator serve it over TLS. A video file works here, too.");
    }
  }

  async start() {
    const kind = byId("live-device").value;
    if (kind === FILE) return byId("live-file").click();
    this.#wanted = null; // of a camera that is still unplugged
    const [width, height] = byId("live-size").value.split("x").map(Number);
    const size = { width: { ideal: width }, height: { ideal: height } };
    if (kind === SCREEN) return this.#open(() => navigator.mediaDevices.getDisplayMedia({ video: true, audio: false }));
    this.#wanted = { deviceId: kind.slice("camera ".length), size };
    return this.#openCamera();
  }

  stop() {
    this.#wanted = null;
    this.#release();
  }

  #openCamera() {
    const { deviceId, size } = this.#wanted;
    const video = { ...size, ...(deviceId && { deviceId: { exact: deviceId } }) };
    return this.#open(() => navigator.mediaDevices.getUserMedia({ video, audio: false }));
  }

  async #open(request) {
    this.#release();
    const asked = this.#asked = {};
    let stream = null;
    try {
      stream = await request();
    } catch (error) {
      return this.#asked === asked && this.#note(reason(error));
    }
    if (this.#asked !== asked) return stream.getTracks().forEach((track) => track.stop());
    this.#stream = stream;
    for (const track of this.#stream.getVideoTracks()) track.addEventListener("ended", () => this.#lost("The source is gone: it was unplugged, or sharing ended."));
    this.video.srcObject = this.#stream;
    await this.#begin();
    this.list();
  }

  async #play(file) {
    byId("live-file").value = "";
    if (!file) return;
    this.stop();
    this.#address = URL.createObjectURL(file);
    this.video.src = this.#address;
    await this.#begin();
  }

  async #begin() {
    try {
      await this.video.play();
      this.#note("");
      this.dispatchEvent(new Event("started"));
    } catch {
      this.#release();
      this.#note("The browser cannot play this source.");
    }
  }

  #lost(text) {
    const again = this.#wanted && this.#stream;
    this.#release();
    this.#note(again ? `${text} It starts again by itself when it is back.` : text);
    this.dispatchEvent(new Event("ended"));
  }

  async #devicesChanged() {
    await this.list();
    if (this.#wanted && !this.running) await this.#openCamera();
  }

  #release() {
    this.#asked = null;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#address) URL.revokeObjectURL(this.#address);
    [this.#stream, this.#address] = [null, null];
    this.video.srcObject = null;
    this.video.removeAttribute("src");
  }

  #note(text) {
    this.dispatchEvent(new CustomEvent("note", { detail: text }));
  }
}

function reason({ name }) {
  if (name === "NotAllowedError") return "The browser was not allowed to read this source.";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "This source is not connected.";
  if (name === "NotReadableError") return "Another program uses this source.";
  return "This source cannot be opened.";
}
