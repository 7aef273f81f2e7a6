/** The noVNC transport: RFB over a WebSocket of our own, whose token goes as a subprotocol. */
import { isRecord } from "../api/types";
import { sessionUrl } from "../api/watch";
import type { Access, Link, Reports } from "../session/runner";
import { Liveness } from "./liveness";
import { mendCursorColours } from "./novnc_cursor";
import { followPointer } from "./novnc_pointer";
import type { PointerEvents } from "./novnc_pointer";
import { oneClickEach } from "./novnc_wheel";
import { onCanvasPainted } from "./painted";
import type { Screen } from "./screen";

export interface VncEvents extends Reports, PointerEvents {
  /** Whether this page's input counts now; also said when anything else about control has changed. */
  control(controls: boolean): void;
}

/** How often the gateway is told that the page lives while it may hold something, in ms; its lease is 2 s (lease.py). */
const BEAT_MS = 500;
/** Of a desktop that stands still a pixel is asked for this often, so that there is something to hear, in ms. */
const CHECK_MS = 1_000;
/** A socket from which nothing at all has come for so long is interrupted, in ms. */
const SILENT_MS = 4_000;

/** FramebufferUpdateRequest for the first pixel, whether it has changed or not (RFC 6143 7.5.3). */
const PIXEL_REQUEST = Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 1, 0, 1);

type Rfb = InstanceType<(typeof import("@novnc/novnc"))["default"]>;

export class VncTransport implements Link {
  #socket: WebSocket | null = null;
  #rfb: Rfb | null = null;
  #forgetPainted: () => void = () => undefined;
  #open = true;
  #reason = "";
  #viewOnly = true;
  #fits = true;
  #beating: ReturnType<typeof setInterval> | undefined;
  readonly #closing = new AbortController();
  readonly #liveness = new Liveness(SILENT_MS, CHECK_MS);
  #checking: ReturnType<typeof setInterval> | undefined;
  /** noVNC's own place; several lie over each other while one is tried behind another. */
  readonly #pane = document.createElement("div");

  constructor(
    private readonly access: Access,
    target: HTMLElement,
    private readonly screen: Screen,
    private readonly events: VncEvents,
  ) {
    this.#pane.style.visibility = "hidden";
    target.append(this.#pane);
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

  /** The picture fitted into its box; else a px of it is a px of the page. */
  set fits(fits: boolean) {
    this.#fits = fits;
    if (this.#rfb !== null) this.#rfb.scaleViewport = fits;
  }

  readonly sendKey = (keysym: number, down: boolean): void => {
    // Without a code noVNC sends the keysym as it is.
    this.#rfb?.sendKey(keysym, null, down);
  };

  show(): void {
    this.#pane.style.visibility = "";
    this.screen.clear();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#checking);
    clearInterval(this.#beating);
    this.#forgetPainted();
    this.#closing.abort();
    const canvas = this.#pane.querySelector("canvas");
    if (canvas !== null && this.#pane.style.visibility === "") this.screen.keep(canvas);
    this.#rfb?.disconnect();
    this.#socket?.close();
    this.#pane.remove();
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
    this.#socket.addEventListener("open", () => {
      if (this.#open) this.events.progress("answered");
    });
    this.#socket.addEventListener("close", (event) => {
      this.#reason = event.reason;
    });

    const rfb = new RFB(this.#pane, this.#socket, { shared: true });
    this.#rfb = rfb;
    followPointer(rfb, this.events);
    mendCursorColours(rfb);
    oneClickEach(this.#pane, () => this.#viewOnly, this.#closing.signal);
    rfb.scaleViewport = this.#fits;
    rfb.background = "transparent";
    // One keyboard for both transports (input/): noVNC's own must never get the focus.
    rfb.focusOnClick = false;
    rfb.viewOnly = this.#viewOnly;
    rfb.addEventListener("disconnect", () => {
      this.#ended();
    });
    this.#forgetPainted = onCanvasPainted(this.#pane, () => {
      if (!this.#open) return;
      this.#checking = setInterval(this.#check, CHECK_MS);
      this.#beating = setInterval(this.#beat, BEAT_MS);
      this.#beat();
      this.events.painted();
    });
  }

  readonly #check = (): void => {
    // Between noVNC's own messages: it sends each of them whole.
    if (this.#liveness.silentMs > 0 && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(PIXEL_REQUEST);
    if (this.#liveness.check(performance.now())) this.events.silent();
  };

  /** A message without a byte of RFB. The first promises more, so it goes before any key, and after the handshake. */
  readonly #beat = (): void => {
    if (this.#beating === undefined || this.#viewOnly) return;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(new Uint8Array(0));
  };

  readonly #hear = (event: MessageEvent<unknown>): void => {
    if (this.#liveness.heard() && this.#open) this.events.heard();
    if (typeof event.data !== "string") return;
    event.stopImmediatePropagation();
    const said: unknown = JSON.parse(event.data);
    if (this.#open && isRecord(said) && typeof said["controls"] === "boolean") this.events.control(said["controls"]);
  };

  #ended(): void {
    if (this.#open) this.events.closed({ kind: "closed", detail: this.#reason });
  }
}
