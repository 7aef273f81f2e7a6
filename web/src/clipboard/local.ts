/** The browser's own clipboard, by what each browser lets a page do. No state but what waits for a gesture. */
import { textContent } from "./content";
import type { Content } from "./content";

/** Undefined without a secure context. */
const clipboard = navigator.clipboard as Clipboard | undefined;

/** What a paste event brings: text before a picture, as in the guest. Null for neither. */
export async function fromPaste(data: DataTransfer | null): Promise<Content | null> {
  if (data === null) return null;
  const text = data.getData("text/plain");
  if (text !== "") return textContent(text);
  const file = [...data.files].find(({ type }) => type === "image/png");
  return file === undefined ? null : { kind: "png", data: new Uint8Array(await file.arrayBuffer()) };
}

/** May the page read it without asking the person? Chromium only: elsewhere a read asks each time. */
export async function mayRead(): Promise<boolean> {
  try {
    const { state } = await navigator.permissions.query({ name: "clipboard-read" as PermissionName });
    return state === "granted";
  } catch {
    return false;
  }
}

/** What it holds; null for nothing that can be copied, or when the browser refuses. May ask the person. */
export async function read(): Promise<Content | null> {
  try {
    if (clipboard === undefined || !document.hasFocus()) return null;
    if (!("read" in clipboard)) return textContent(await (clipboard as Clipboard).readText());
    for (const item of await clipboard.read()) {
      if (item.types.includes("text/plain")) return textContent(await (await item.getType("text/plain")).text());
      if (item.types.includes("image/png")) {
        const blob = await item.getType("image/png");
        return { kind: "png", data: new Uint8Array(await blob.arrayBuffer()) };
      }
    }
  } catch {
    // Refused, without the focus, or in a format that is none of ours.
  }
  return null;
}

/** Two PNGs of one picture: browsers write their own PNG of what they are given. False for anything else. */
export async function samePicture(one: Content, other: Content | null): Promise<boolean> {
  if (one.kind !== "png" || other?.kind !== "png") return false;
  try {
    const [mine, theirs] = await Promise.all([pixels(one.data), pixels(other.data)]);
    return mine.width === theirs.width && mine.data.every((value, at) => value === theirs.data[at]);
  } catch {
    return false;
  }
}

async function pixels(png: Uint8Array<ArrayBuffer>): Promise<ImageData> {
  const bitmap = await createImageBitmap(new Blob([png], { type: "image/png" }));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  if (context === null) throw new Error("no canvas");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** Whether it now holds this. Outside of a gesture Firefox and Safari refuse. */
export async function write(content: Content): Promise<boolean> {
  try {
    if (clipboard === undefined || !document.hasFocus()) return false;
    if (content.kind === "text") await clipboard.writeText(content.text);
    else if (typeof ClipboardItem === "undefined") return false;
    else await clipboard.write([new ClipboardItem({ "image/png": new Blob([content.data], { type: "image/png" }) })]);
    return true;
  } catch {
    return false;
  }
}
