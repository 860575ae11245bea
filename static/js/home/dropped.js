// What was dropped, or chosen, as a list of {file, folders}: the names of the folders that it is in, from where it was
// dropped; {folders} alone stands for a folder.

export function ofInput(input) {
  return [...input.files].map((file) => ({ file, folders: file.webkitRelativePath.split("/").slice(0, -1) }));
}

/** Of a drop. The data of its event is only there during the event, so this takes all it needs at once. */
export function ofDrop(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (entries.length === 0 || entries.some((entry) => !entry)) {
    return Promise.resolve([...transfer.files].map((file) => ({ file, folders: [] })));
  }
  const found = [];
  return entries
    .reduce((before, entry) => before.then(() => collect(entry, [], found)), Promise.resolve())
    .then(() => found);
}

async function collect(entry, folders, found) {
  if (entry.isFile) {
    found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), folders });
    return;
  }
  const inside = [...folders, entry.name];
  found.push({ folders: inside });
  const reader = entry.createReader();
  for (;;) {
    // Browsers give so many at a time, and none after the last.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const one of some) await collect(one, inside, found);
  }
}
