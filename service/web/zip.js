// Write a ZIP file whose members are stored without compression: pictures are compressed already.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
const UTF_8 = 0x0800; // the flag for names
const VERSION = 20;
const DATE = (1 << 5) | 1; // January 1, 1980: the time of an exam is not written into it

const MOST_BYTES = 0xffffffff; // a larger file needs ZIP64, which few programs write and some do not read
const MOST_MEMBERS = 0xffff;

// Return the file as a Blob, or null where it would be too large for the format. `members` are [{name, blob}].
export async function zip(members) {
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, blob } of members) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const title = new TextEncoder().encode(name);
    const common = [[VERSION, 2], [UTF_8, 2], [0, 2], [0, 2], [DATE, 2], [crc32(bytes), 4], [bytes.length, 4], [bytes.length, 4], [title.length, 2], [0, 2]];
    const local = fields([[0x04034b50, 4], ...common]);
    directory.push(fields([[0x02014b50, 4], [VERSION, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), title);
    parts.push(local, title, blob); // the browser may keep it on the disk
    offset += local.length + title.length + bytes.length;
  }
  if (offset > MOST_BYTES || members.length > MOST_MEMBERS) return null;
  const length = directory.reduce((total, part) => total + part.length, 0);
  const end = fields([[0x06054b50, 4], [0, 2], [0, 2], [members.length, 2], [members.length, 2], [length, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

// Little-endian numbers, each with its size in bytes.
function fields(values) {
  const bytes = new Uint8Array(values.reduce((total, [, size]) => total + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, size] of values) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return bytes;
}

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
