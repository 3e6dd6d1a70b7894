// Replace ZIP archives by the files in them, as the service does for other clients. What cannot be read here stays as
// it is, and the service says why.

const MAX_DIRECTORY = 4 * 2 ** 20; // bytes; as in the service
const MAX_RATIO = 100;
const FREE = 4 * 2 ** 20;
const END_BYTES = 22;
const STORED = 0;
const DEFLATED = 8;

// Return [{file, name}] without archives, and whether there was one.
export async function unpack(files) {
  const parts = await Promise.all(files.map((each) => (/\.zip$/i.test(each.name) ? members(each) : null)));
  return { files: files.flatMap((each, index) => parts[index] ?? [each]), unpacked: parts.some(Boolean) };
}

// Return the files in an archive, or null where it cannot be read.
async function members({ file, name }) {
  try {
    const entries = await directory(file);
    const size = entries.reduce((sum, entry) => sum + entry.size, 0);
    const readable = entries.every(({ encrypted, method }) => !encrypted && (method === STORED || method === DEFLATED));
    if (!readable || size > FREE + MAX_RATIO * file.size) return null;
    const found = [];
    for (const entry of entries) {
      if (!entry.name.endsWith("/")) found.push({ file: await contents(file, entry), name: `${name}/${entry.name}` });
    }
    return found;
  } catch {
    return null;
  }
}

// Return the entries of the directory at the end of an archive (APPNOTE.TXT, 4.3.12 and 4.3.16).
async function directory(file) {
  const tail = await view(file.slice(Math.max(0, file.size - END_BYTES - 0xffff)));
  let at = tail.byteLength - END_BYTES;
  while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at -= 1;
  const [size, start] = [tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
  if (size > MAX_DIRECTORY) throw new RangeError("the directory is too large");
  const records = await view(file.slice(start, start + size));
  const entries = [];
  for (at = 0; at < size; at += 46 + lengths(records, at + 28)) {
    if (records.getUint32(at, true) !== 0x02014b50) throw new RangeError("the directory is damaged");
    const nameBytes = new Uint8Array(records.buffer, at + 46, records.getUint16(at + 28, true));
    entries.push({
      encrypted: records.getUint16(at + 8, true) & 1,
      method: records.getUint16(at + 10, true),
      stored: records.getUint32(at + 20, true),
      size: records.getUint32(at + 24, true),
      start: records.getUint32(at + 42, true),
      name: new TextDecoder().decode(nameBytes).replaceAll("\\", "/").replace(/^\/+/, ""),
    });
  }
  return entries;
}

// The lengths of name, extra field and comment follow one another.
function lengths(records, at) {
  return records.getUint16(at, true) + records.getUint16(at + 2, true) + records.getUint16(at + 4, true);
}

async function contents(file, { name, method, stored, size, start }) {
  const header = await view(file.slice(start, start + 30));
  const from = start + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const packed = file.slice(from, from + stored);
  if (method === STORED) return new File([packed], name);
  let left = size;
  const limit = new TransformStream({
    transform(chunk, controller) {
      left -= chunk.byteLength;
      if (left < 0) throw new RangeError("the file is longer than the directory says");
      controller.enqueue(chunk);
    },
  });
  const inflated = packed.stream().pipeThrough(new DecompressionStream("deflate-raw")).pipeThrough(limit);
  return new File([await new Response(inflated).blob()], name);
}

async function view(blob) {
  return new DataView(await blob.arrayBuffer());
}
