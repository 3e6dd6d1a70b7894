// Pictures of frames: read by the browser where it can, else asked of the service. Thumbnails from the same.

const KEPT = 24; // large pictures in memory, over all items
const RUN = 8; // frames of a loop that come with one upload: those after the one that is looked at are looked at next
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
    const own = await this.#local(item, index);
    const bitmap = own ?? (answered ? await this.picture(item, index) : null);
    if (bitmap && !item.thumbnails.has(index)) {
      item.thumbnails.set(index, reduce(bitmap));
      this.session.changed(item);
    }
    own?.close();
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

  // What the service makes of it; of a loop the frames that follow come along, unless they are here already.
  async #remote(item, index) {
    let most = 1;
    while (most < RUN && index + most < item.count && !item.pictures.has(index + most)) most += 1;
    const run = this.#cut(this.service.pictures(item.file, index, most, item.leaving.signal));
    for (let place = 1; place < most; place += 1) {
      const followed = run.then((frames) => frames[place] ?? null);
      item.pictures.set(index + place, followed);
      this.#keep(item, index + place);
      followed.then((bitmap) => bitmap ?? item.pictures.delete(index + place));
    }
    return run.then(([first]) => first ?? null);
  }

  // The frames of a picture that shows them one below the other; none where it does not come.
  async #cut(asked) {
    try {
      const { blob, frames } = await asked;
      const all = await createImageBitmap(blob);
      const height = all.height / frames;
      const cuts = Array.from({ length: frames }, (_, place) => createImageBitmap(all, 0, place * height, all.width, height));
      return await Promise.all(cuts).finally(() => all.close());
    } catch {
      return [];
    }
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

// A small copy on black, whole and centered.
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
