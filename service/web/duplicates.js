// Find files with the same bytes, as service/reports/duplicates.py does. Hashes of the browser's crypto need HTTPS, and a
// service in a hospital may have none: files that look the same at both ends are compared byte by byte.

const END = 2 ** 16; // bytes at the beginning and at the end that tell most files apart
const PART = 2 ** 20; // bytes compared at once

// Returns a function that finds the duplicates among further items of the session.
export function startDuplicates(session) {
  const bySize = new Map(); // items by size; the ends of a file are read only if another one has its size
  const byEnds = new Map();
  const place = async (item) => {
    const same = bySize.get(item.file.size) ?? [];
    bySize.set(item.file.size, [...same, item]);
    if (!same.length) return;
    if (same.length === 1) await compare(same[0], byEnds);
    if (!(await compare(item, byEnds))) return;
    session.share(item);
    session.changed(item);
  };
  let last = Promise.resolve();
  return (items) => {
    for (const item of items) last = last.then(() => place(item)).catch(() => {}); // an unreadable file has no duplicate
    return last;
  };
}

async function compare(item, byEnds) {
  const key = await ends(item.file);
  const known = byEnds.get(key) ?? [];
  byEnds.set(key, known);
  for (const each of known) {
    if (!(await isSame(each.file, item.file))) continue;
    item.content = each.content;
    return true;
  }
  known.push(item);
  return false;
}

async function ends(file) {
  const parts = await Promise.all([file.slice(0, END), file.slice(-END)].map((part) => part.arrayBuffer()));
  return `${file.size}:${parts.map(hash).join(":")}`;
}

// FNV-1a, 32 bits.
const hash = (bytes) => new Uint8Array(bytes).reduce((sum, byte) => Math.imul(sum ^ byte, 0x01000193), 0x811c9dc5);

async function isSame(one, other) {
  for (let at = 0; at < one.size; at += PART) {
    const [a, b] = await Promise.all([one, other].map(async (file) => new Uint8Array(await file.slice(at, at + PART).arrayBuffer())));
    if (a.length !== b.length || a.some((byte, index) => byte !== b[index])) return false;
  }
  return true;
}
