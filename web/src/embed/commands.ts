/** Doing what the page around the frame asks for. */
import type { Command, Content, Picture, ReplyError } from "../../packages/client/src/protocol.js";
import { postControl, putDisplay } from "../api/control";
import { ApiError, problemOf } from "../api/http";
import { textContent } from "../clipboard/content";
import type { Access } from "../session/runner";
import { sentences } from "../session/why";
import type { Viewer } from "../view/viewer";
import { opsOf } from "./keys";

/** What a command acts on. */
export interface Desk {
  readonly viewer: Viewer;
  readonly access: Access;
  connect(command: Extract<Command, { readonly type: "connect" }>): Promise<void>;
}

class Refused extends Error {
  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

/** Resolves when it is done. Throws what {@link errorOf} can read. */
export async function run(command: Command, desk: Desk): Promise<Picture | undefined> {
  const { viewer, access } = desk;
  switch (command.type) {
    case "connect":
      await desk.connect(command);
      break;
    case "disconnect":
      viewer.leave();
      break;
    case "setReadOnly":
      viewer.readOnly = command.readOnly;
      break;
    case "requestControl":
      await postControl(access, "request");
      viewer.hearNews();
      break;
    case "releaseControl":
      await postControl(access, "release");
      viewer.hearNews();
      break;
    case "resize":
      await putDisplay(access, { width: command.width, height: command.height });
      break;
    case "paste":
      await paste(viewer, command.content);
      break;
    case "sendKeys": {
      const ops = opsOf(command.keys);
      if (typeof ops === "string") throw new Refused("bad-key", `There is no key named ${JSON.stringify(ops)}.`);
      if (!viewer.press(ops)) throw new Refused("no-control", "This viewer does not control the desktop just now.");
      break;
    }
    case "screenshot":
      return screenshot(viewer);
  }
  return undefined;
}

/** What the page is told of a command that failed. */
export function errorOf(error: unknown): ReplyError {
  if (error instanceof Refused) return { kind: error.kind, message: error.message };
  const { kind, detail, hint } = problemOf(error);
  return { kind, message: error instanceof ApiError ? sentences(detail, hint) : detail };
}

async function paste(viewer: Viewer, content: Content): Promise<void> {
  const given = content.kind === "text" ? textContent(content.text) : { kind: content.kind, data: new Uint8Array(content.png) };
  if (await viewer.clipboard.send(given)) return;
  const { trouble } = viewer.clipboard;
  throw new Refused("refused", trouble === "" ? "This viewer may not copy to the desktop just now." : trouble);
}

async function screenshot(viewer: Viewer): Promise<Picture> {
  const shown = viewer.picture;
  if (shown === null) throw new Refused("no-picture", "No picture is shown just now.");
  const video = shown instanceof HTMLVideoElement;
  const [width, height] = video ? [shown.videoWidth, shown.videoHeight] : [shown.width, shown.height];
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { alpha: false })?.drawImage(shown, 0, 0);
  return { png: await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer(), width, height };
}
