// Accept files that are chosen, dropped (folders, too) or pasted.

import { byId } from "./dom.js";
import { unpack } from "./unzip.js";

const byName = new Intl.Collator("en", { numeric: true });

// Call `accept` with [{file, name}] for new files, and with {folder} if they come from a folder or an archive.
export function startFiles(accept) {
  const take = async (added, { folder = false } = {}) => {
    const { files, unpacked } = added.some(({ name }) => /\.zip$/i.test(name)) ? await unpack(added) : { files: added };
    accept(unpacked ? tidy(files) : files, { folder: folder || Boolean(unpacked) });
  };
  for (const id of ["files", "folder"]) {
    const input = byId(id);
    input.addEventListener("change", () => {
      const files = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
      input.value = ""; // lets the user choose the same file again
      take(id === "folder" ? tidy(files) : files, { folder: id === "folder" });
    });
  }
  for (const button of document.querySelectorAll("[data-choose]")) {
    button.addEventListener("click", () => byId(button.dataset.choose).click());
  }
  startDrop(take);
  startPaste(take);
}

// Sort a folder's files by name, without hidden files and those of the operating system.
function tidy(files) {
  const hidden = (name) => name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX") || /(^|\/)(Thumbs\.db|desktop\.ini)$/i.test(name);
  return files.filter(({ name }) => !hidden(name)).sort((a, b) => byName.compare(a.name, b.name));
}

function startDrop(take) {
  let depth = 0;
  const overlay = byId("drop-here");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    overlay.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    overlay.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    overlay.hidden = true;
    const { files, folder } = await dropped(event.dataTransfer);
    take(files, { folder });
  });
}

// Entries must be requested during the event; their contents may be read later.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const folder = entries.some((entry) => entry.isDirectory);
  if (!folder) return { files: [...transfer.files].map((file) => ({ file, name: file.name })), folder };
  return { files: tidy((await Promise.all(entries.map((entry) => filesIn(entry)))).flat()), folder };
}

async function filesIn(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, name: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const reader = entry.createReader();
  const entries = [];
  for (;;) {
    const batch = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!batch.length) break; // `readEntries` returns at most 100 entries per call
    entries.push(...batch);
  }
  return (await Promise.all(entries.map((each) => filesIn(each)))).flat();
}

function startPaste(take) {
  let pasted = 0;
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    // Browsers name every pasted picture "image.png".
    take(files.map((file) => ({ file, name: file.name && file.name !== "image.png" ? file.name : `Pasted ${++pasted}` })));
  });
}
