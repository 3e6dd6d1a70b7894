// Pictures of frames: read by the browser where it can, else asked of the service. Thumbnails from the same.

const KEPT = 24; // large pictures in memory, over all items
const THUMBNAIL = [176, 132]; // twice the pixels that it is shown with, for fine screens

export class Pictures {
  #recent = [];

  constructor(session, service) {
    Object.assign(this, { session, service });
  }

  // The frame as an ImageBitmap of the size that the service told, or null where there is none.
  async picture(item, index) {
    if (!item.pictures.has(index)) item.pictures.set(index, this.#load(item, index));
    this.#keep(item, index);
    const bitmap = await item.pictures.get(index);
    if (!bitmap) item.pictures.delete(index);
    return bitmap;
  }

  // Draw the frame's thumbnail: at once where the browser can read the file, else when the service has.
  async sketch(item, index) {
    if (item.thumbnails.has(index)) return;
    const answered = item.readings.get(index)?.state === "answered";
    const bitmap = (await this.#local(item, index)) ?? (answered ? await this.#remote(item, index) : null);
    if (!bitmap || item.thumbnails.has(index)) return;
    item.thumbnails.set(index, reduce(bitmap));
    bitmap.close();
    this.session.changed(item);
  }

  async #load(item, index) {
    const frame = item.readings.get(index)?.answer?.frame;
    const local = await this.#local(item, index);
    if (local && (!frame || (local.width === frame.width && local.height === frame.height))) return local;
    local?.close();
    return frame || item.count > 1 ? this.#remote(item, index) : null;
  }

  // What the browser makes of the file. Of a file of many frames it may show another than the one asked for.
  async #local(item, index) {
    if (index > 0 || item.count > 1) return null;
    return createImageBitmap(item.file).catch(() => null);
  }

  async #remote(item, index) {
    const asked = this.service.picture(item.file, index, item.leaving.signal);
    return asked.then((blob) => createImageBitmap(blob)).catch(() => null);
  }

  #keep(item, index) {
    const same = (held) => held[0] === item && held[1] === index;
    this.#recent = [[item, index], ...this.#recent.filter((held) => !same(held))];
    for (const [old, place] of this.#recent.splice(KEPT)) {
      // Not closed by hand: it may be on its way to the screen.
      old.pictures.delete(place);
    }
  }
}

// A small copy on black, whole and centred.
function reduce(bitmap) {
  const [width, height] = THUMBNAIL;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [w, h] = [bitmap.width * scale, bitmap.height * scale];
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  return canvas;
}

// Put a thumbnail, or nothing yet, onto a canvas of the page.
export function drawThumbnail(canvas, thumbnail) {
  if (!thumbnail || canvas.drawn === thumbnail) return;
  [canvas.width, canvas.height] = [thumbnail.width, thumbnail.height];
  canvas.getContext("2d").drawImage(thumbnail, 0, 0);
  canvas.drawn = thumbnail;
}
