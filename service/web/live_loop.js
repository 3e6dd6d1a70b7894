// The live loop: the newest frame wins, one request is in flight, and the speed is measured.

import { shotSignature } from "./cine_reader.js";

const SIDE = 640; // pixels of the longer side of what is sent; the model sees fewer
const WHOLE_SIDE = 1280;
const THUMB = 64; // pixels per side of the copy for cuts and freezes
const QUALITY = 0.92;
const GIVE_UP_MS = 10_000; // a request, such as one that slept with the computer
const KEPT = 200; // frames that the speed is measured over

// Return the part [x, y, width, height] to send, so that the model sees `part`: of what the service receives, the model sees
// the middle, with no side longer than the longer side divided by `zoom` (service/imaging/letterbox.py).
export function widen([x, y, wide, tall], zoom, width, height) {
  const around = (start, length, factor, all) => {
    const center = start + length / 2;
    const half = Math.min((length * factor) / 2, center, all - center);
    return [center - half, 2 * half];
  };
  const [left, broad] = around(x, wide, wide >= tall ? zoom : 1, width);
  const [top, high] = around(y, tall, wide >= tall ? 1 : zoom, height);
  return [left, top, broad, high];
}

// Events: `answer` with `detail` {answer, blob, signature, motion, time, whole, sent}; `refused` with the refusal; `speed`.
export class LiveLoop extends EventTarget {
  #on = false;
  #busy = false;
  #newest = null; // when the newest frame was captured
  #thumb = null;
  #wait = new AbortController();
  #canvas = new OffscreenCanvas(1, 1);
  #small = new OffscreenCanvas(THUMB, THUMB);

  constructor(service, video, crop) {
    super();
    Object.assign(this, { service, video, crop, query: {}, zoom: 1 });
    for (const event of ["busy", "lost"]) service.addEventListener(event, () => this.#wait.abort()); // an old frame is not sent again
    this.#clear();
  }

  start() {
    if (this.#on) return;
    this.#on = true;
    this.#clear();
    this.#listen();
  }

  stop() {
    this.#on = false;
    this.#wait.abort();
  }

  // Frames per second, dropped frames, and milliseconds from capture to label.
  get speed() {
    const sorted = this.latencies.toSorted((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    const [first] = this.times;
    const seconds = (this.times.at(-1) - first) / 1000;
    return { perSecond: seconds > 0 ? (this.times.length - 1) / seconds : 0, dropped: this.seen - this.sent, sent: this.sent, p50: at(0.5), p95: at(0.95) };
  }

  #clear() {
    Object.assign(this, { seen: 0, sent: 0, latencies: [], times: [] });
    this.#thumb = null;
  }

  #listen() {
    this.video.requestVideoFrameCallback((now, { captureTime }) => {
      if (!this.#on) return;
      this.seen += 1;
      this.#newest = captureTime ?? now;
      this.#next();
      this.#listen();
    });
  }

  async #next() {
    if (this.#busy || !this.#on || this.#newest === null || this.service.lost || this.service.busyFor > 0) return;
    this.#busy = true;
    const captured = this.#newest;
    this.#newest = null;
    try {
      await this.#classify(captured);
    } catch (refusal) {
      if (this.#on && refusal.code !== "stopped") this.dispatchEvent(new CustomEvent("refused", { detail: refusal }));
    }
    this.#busy = false;
    this.#next();
  }

  async #classify(captured) {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return;
    const whole = this.crop.isDue(performance.now());
    const [left, top, right, bottom] = this.crop.box;
    const seenPart = [left * width, top * height, (right - left) * width, (bottom - top) * height];
    const part = whole ? [0, 0, width, height] : widen(seenPart, this.zoom, width, height);
    const sent = [part[0] / width, part[1] / height, (part[0] + part[2]) / width, (part[1] + part[3]) / height];
    const seen = this.#look();
    const blob = await this.#encode(part, whole ? WHOLE_SIDE : SIDE);
    this.#wait = new AbortController();
    const signal = AbortSignal.any([AbortSignal.timeout(GIVE_UP_MS), this.#wait.signal]);
    this.sent += 1;
    const { answer } = await this.service.classify(blob, this.query, signal, this.#wait.signal);
    if (!this.#on) return;
    this.#measure(captured);
    if (whole) {
      const { crop: box, width: w, height: h } = answer.frame;
      this.crop.take([box[0] / w, box[1] / h, box[2] / w, box[3] / h], performance.now());
    }
    this.dispatchEvent(new CustomEvent("answer", { detail: { answer, blob, whole, sent, time: this.video.currentTime, at: performance.now(), ...seen } }));
  }

  // The signature of the crop, and how much it differs from that of the frame before, in gray levels.
  #look() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const [left, top, right, bottom] = this.crop.box;
    const context = this.#small.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.video, left * width, top * height, (right - left) * width, (bottom - top) * height, 0, 0, THUMB, THUMB);
    const { data } = context.getImageData(0, 0, THUMB, THUMB);
    const gray = Uint8Array.from({ length: THUMB * THUMB }, (_, at) => (299 * data[4 * at] + 587 * data[4 * at + 1] + 114 * data[4 * at + 2]) / 1000);
    const before = this.#thumb;
    this.#thumb = gray;
    const motion = before ? gray.reduce((total, level, at) => total + Math.abs(level - before[at]), 0) / gray.length : Infinity;
    return { signature: shotSignature(gray, THUMB, THUMB), motion };
  }

  #encode([x, y, width, height], side) {
    const scale = Math.min(1, side / Math.max(width, height));
    const canvas = this.#canvas;
    const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    canvas.getContext("2d").drawImage(this.video, x, y, width, height, 0, 0, ...size);
    return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  }

  #measure(captured) {
    const now = performance.now();
    this.latencies = [...this.latencies, now - captured].slice(-KEPT);
    this.times = [...this.times, now].slice(-KEPT);
    this.dispatchEvent(new Event("speed"));
  }
}
