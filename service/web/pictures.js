// Pictures of frames: decoded by the browser if it can, otherwise requested from the service. Thumbnails, too.

const CACHE_SIZE = 24; // large pictures in memory, over all items
const FRAMES_PER_REQUEST = 8; // of a cine: the frames after the current one are usually shown next
const THUMBNAIL_SIZE = [176, 132]; // twice its CSS pixels, for high-resolution screens

export class Pictures {
  #recent = [];

  constructor(session, service) {
    Object.assign(this, { session, service });
  }

  // Return the frame as an ImageBitmap of the size that the service reports, or null if there is none.
  async picture(item, index) {
    if (!item.pictures.has(index)) item.pictures.set(index, this.#load(item, index));
    this.#cache(item, index);
    const bitmap = await item.pictures.get(index);
    if (!bitmap) item.pictures.delete(index);
    return bitmap;
  }

  // Make the frame's thumbnail: at once if the browser can decode the file, otherwise once the service has answered.
  async makeThumbnail(item, index) {
    if (item.thumbnails.has(index)) return;
    const answered = item.results.get(index)?.state === "answered";
    const own = await this.#local(item, index);
    const bitmap = own ?? (answered ? await this.picture(item, index) : null);
    if (bitmap && !item.thumbnails.has(index)) {
      item.thumbnails.set(index, downscale(bitmap));
      this.session.changed(item);
    }
    own?.close();
  }

  async #load(item, index) {
    const frame = item.results.get(index)?.answer?.frame;
    const local = await this.#local(item, index);
    if (local && (!frame || (local.width === frame.width && local.height === frame.height))) return local;
    local?.close();
    return frame || item.count > 1 ? this.#remote(item, index) : null;
  }

  // Decode in the browser. Not for files with many frames: browsers decode a frame of their own choice.
  async #local(item, index) {
    if (index > 0 || item.count > 1) return null;
    return createImageBitmap(item.file).catch(() => null);
  }

  // Request from the service. For a cine, the following frames that are not cached come with the same request.
  async #remote(item, index) {
    let most = 1;
    while (most < FRAMES_PER_REQUEST && index + most < item.count && !item.pictures.has(index + most)) most += 1;
    const cut = this.#cut(this.service.pictures(item.file, index, most, item.removal.signal));
    for (let offset = 1; offset < most; offset += 1) {
      const followed = cut.then((frames) => frames[offset] ?? null);
      item.pictures.set(index + offset, followed);
      this.#cache(item, index + offset);
      followed.then((bitmap) => bitmap ?? item.pictures.delete(index + offset));
    }
    return cut.then(([first]) => first ?? null);
  }

  // Cut a picture that holds several frames, one below the other; empty if the request fails.
  async #cut(request) {
    try {
      const { blob, frames } = await request;
      const all = await createImageBitmap(blob);
      const height = all.height / frames;
      const cuts = Array.from({ length: frames }, (_, row) => createImageBitmap(all, 0, row * height, all.width, height));
      return await Promise.all(cuts).finally(() => all.close());
    } catch {
      return [];
    }
  }

  #cache(item, index) {
    const same = (entry) => entry[0] === item && entry[1] === index;
    this.#recent = [[item, index], ...this.#recent.filter((entry) => !same(entry))];
    for (const [old, oldIndex] of this.#recent.splice(CACHE_SIZE)) {
      // Not closed explicitly: the viewer may still draw it.
      old.pictures.delete(oldIndex);
    }
  }
}

// Return a small copy, complete and centered on black.
function downscale(bitmap) {
  const [width, height] = THUMBNAIL_SIZE;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [w, h] = [bitmap.width * scale, bitmap.height * scale];
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  return canvas;
}

// Draw a thumbnail, if there is one, onto a canvas of the page.
export function drawThumbnail(canvas, thumbnail) {
  if (!thumbnail || canvas.drawn === thumbnail) return;
  [canvas.width, canvas.height] = [thumbnail.width, thumbnail.height];
  canvas.getContext("2d").drawImage(thumbnail, 0, 0);
  canvas.drawn = thumbnail;
}
