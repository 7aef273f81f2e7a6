/** The noVNC transport: RFB over a WebSocket of our own, whose token goes as a subprotocol. */
import { isRecord } from "../api/types";
import { sessionUrl } from "../api/watch";
import type { Access, Link } from "../session/runner";
import { mendCursorColours } from "./novnc_cursor";
import { followPointer } from "./novnc_pointer";
import type { PointerEvents } from "./novnc_pointer";
import { oneClickEach } from "./novnc_wheel";
import { onCanvasPainted } from "./painted";

export interface VncEvents extends PointerEvents {
  painted(): void;
  /** Whether this page's input counts now; also said when anything else about control has changed. */
  control(controls: boolean): void;
  closed(detail: string): void;
}

/** How often the gateway is told that the page lives while it may hold something, in ms; its lease is 2 s (lease.py). */
const BEAT_MS = 500;

type Rfb = InstanceType<(typeof import("@novnc/novnc"))["default"]>;

export class VncTransport implements Link {
  #socket: WebSocket | null = null;
  #rfb: Rfb | null = null;
  #forgetPainted: () => void = () => undefined;
  #open = true;
  #reason = "";
  #viewOnly = true;
  #beating: ReturnType<typeof setInterval> | undefined;
  readonly #closing = new AbortController();

  constructor(
    private readonly access: Access,
    private readonly target: HTMLElement,
    private readonly events: VncEvents,
  ) {
    this.#start().catch((error: unknown) => {
      this.#reason = error instanceof Error ? error.message : String(error);
      this.#ended();
    });
  }

  /** No input to the guest. Until told otherwise nothing is sent. */
  set viewOnly(viewOnly: boolean) {
    this.#viewOnly = viewOnly;
    if (this.#rfb !== null) this.#rfb.viewOnly = viewOnly;
    this.#beat();
  }

  readonly sendKey = (keysym: number, down: boolean): void => {
    // Without a code noVNC sends the keysym as it is.
    this.#rfb?.sendKey(keysym, null, down);
  };

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetPainted();
    clearInterval(this.#beating);
    this.#closing.abort();
    this.#rfb?.disconnect();
    this.#socket?.close();
    this.target.replaceChildren();
  }

  async #start(): Promise<void> {
    // Fetched only when it is needed.
    const { default: RFB } = await import("@novnc/novnc");
    if (!this.#open) return;

    const url = new URL(`${sessionUrl(this.access.id)}/vnc`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    // A WebSocket cannot carry an Authorization header; the gateway picks "binary".
    this.#socket = new WebSocket(url, [
      "binary",
      `fenster.token.${this.access.token}`,
      `fenster.viewer.${this.access.viewer}`,
    ]);
    // Before noVNC listens: text messages are the gateway's own, and nothing of RFB.
    this.#socket.addEventListener("message", this.#hear);
    this.#socket.addEventListener("close", (event) => {
      this.#reason = event.reason;
    });

    const rfb = new RFB(this.target, this.#socket, { shared: true });
    this.#rfb = rfb;
    followPointer(rfb, this.events);
    mendCursorColours(rfb);
    oneClickEach(this.target, () => this.#viewOnly, this.#closing.signal);
    rfb.scaleViewport = true;
    rfb.background = "transparent";
    // One keyboard for both transports (input/): noVNC's own must never get the focus.
    rfb.focusOnClick = false;
    rfb.viewOnly = this.#viewOnly;
    rfb.addEventListener("disconnect", () => {
      this.#ended();
    });
    this.#forgetPainted = onCanvasPainted(this.target, () => {
      if (!this.#open) return;
      this.#beating = setInterval(this.#beat, BEAT_MS);
      this.#beat();
      this.events.painted();
    });
  }

  readonly #hear = (event: MessageEvent<unknown>): void => {
    if (typeof event.data !== "string") return;
    event.stopImmediatePropagation();
    const said: unknown = JSON.parse(event.data);
    if (this.#open && isRecord(said) && typeof said["controls"] === "boolean") this.events.control(said["controls"]);
  };

  /** A message without a byte of RFB. The first promises more, so it goes before any key, and after the handshake. */
  readonly #beat = (): void => {
    if (this.#beating === undefined || this.#viewOnly) return;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(new Uint8Array(0));
  };

  #ended(): void {
    if (this.#open) this.events.closed(this.#reason);
  }
}
