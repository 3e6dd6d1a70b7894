// Takes in files: chosen, dropped (folders too) or pasted.

import { byId } from "./dom.js";

const byName = new Intl.Collator("en", { numeric: true });

// Call `take` with [{file, name}] whenever there are new files.
export function startFiles(take) {
  for (const id of ["files", "folder"]) {
    const input = byId(id);
    input.addEventListener("change", () => {
      const files = [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
      input.value = ""; // so that the same file can be chosen again
      take(id === "folder" ? tidy(files) : files);
    });
  }
  for (const button of document.querySelectorAll("[data-choose]")) {
    button.addEventListener("click", () => byId(button.dataset.choose).click());
  }
  startDrop(take);
  startPaste(take);
}

// Of a folder: in the order of names, and without the files that systems leave in folders.
function tidy(files) {
  const hidden = (name) => name.split("/").some((part) => part.startsWith(".")) || /(^|\/)(Thumbs\.db|desktop\.ini)$/i.test(name);
  return files.filter(({ name }) => !hidden(name)).sort((a, b) => byName.compare(a.name, b.name));
}

function startDrop(take) {
  let depth = 0;
  const cover = byId("drop-here");
  const withFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!withFiles(event)) return;
    depth += 1;
    cover.hidden = false;
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    cover.hidden = depth === 0;
  });
  addEventListener("dragover", (event) => withFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    depth = 0;
    cover.hidden = true;
    take(await dropped(event.dataTransfer));
  });
}

// Entries must be asked for before the event is over; what they hold may be read later.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files].map((file) => ({ file, name: file.name }));
  return tidy((await Promise.all(entries.map((entry) => inside(entry)))).flat());
}

async function inside(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, name: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const reader = entry.createReader();
  const held = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) break;
    held.push(...some);
  }
  return (await Promise.all(held.map((each) => inside(each)))).flat();
}

function startPaste(take) {
  let pasted = 0;
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    // Browsers call every pasted picture "image.png".
    take(files.map((file) => ({ file, name: file.name && file.name !== "image.png" ? file.name : `Pasted ${++pasted}` })));
  });
}
