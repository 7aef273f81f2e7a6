/**
 * The frame's border: messages of the page around it come in, events and replies go out, and nobody else is heard or told.
 *
 * The browser loads this page only into frames of allowed origins (Content-Security-Policy, frame-ancestors), so the
 * parent may be listened to; the first message of its own fixes the origin that is told anything at all.
 */
import { readFromPage, sealed } from "../../packages/client/src/protocol.js";
import type { DesktopEvent, FromPage, Reply } from "../../packages/client/src/protocol.js";

type Heard = Pick<MessageEvent<unknown>, "source" | "origin" | "data">;
type Target = Pick<Window, "postMessage">;

export class Border {
  #origin: string | null = null;

  constructor(
    private readonly parent: Target,
    private readonly heard: (message: FromPage) => void,
  ) {}

  readonly hear = (event: Heard): void => {
    // An opaque origin (a sandboxed page, a file) can not be addressed, so it can not be pinned.
    if (event.source !== this.parent || event.origin === "null" || event.origin === "") return;
    if (this.#origin !== null && event.origin !== this.#origin) return;
    const message = readFromPage(event.data);
    if (message === null) return;
    this.#origin = event.origin;
    this.heard(message);
  };

  /** Nothing before the parent has said something. What is in `transfer` is gone here afterwards. */
  post(message: DesktopEvent | Reply, transfer: Transferable[] = []): void {
    if (this.#origin !== null) this.parent.postMessage(sealed(message), { targetOrigin: this.#origin, transfer });
  }
}
