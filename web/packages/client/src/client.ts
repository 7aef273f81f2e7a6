/** A desktop in an element of the page: makes the frame, speaks the protocol with it, and with it alone. */
import { readFromFrame, sealed } from "./protocol.js";
import type { Command, Credential, DesktopEvent, Keys, Picture, Reply } from "./protocol.js";

export type Address = string | URL;

export interface FensterOptions {
  /**
   * The gateway's origin and the `embed_url` of a ticket or a token; or a function that asks your server for a new one.
   * With a function a desktop whose token has expired goes on by itself.
   */
  readonly url: Address | (() => Address | Promise<Address>);
  /** The frame's own bar. `slim` unless given. */
  readonly bar?: "slim" | "none";
  /** Begin without input. */
  readonly readOnly?: boolean;
  /** The frame's name for screen readers. */
  readonly title?: string;
}

type EventOf<T extends DesktopEvent["type"]> = Extract<DesktopEvent, { readonly type: T }>;
type Listener = (event: DesktopEvent) => void;

/** Why a command was not done. `kind` is stable; `message` is a sentence. */
export class FensterError extends Error {
  override readonly name = "FensterError";

  constructor(
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

interface Pending {
  readonly resolve: (picture: Picture | undefined) => void;
  readonly reject: (error: FensterError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** A frame that has loaded answers at once; one that the gateway does not let this page have never does. */
const HELLO_LIMIT_MS = 5_000;
const REPLY_LIMIT_MS = 30_000;
/** A new address that is refused too is not asked for again at once. */
const RENEW_PAUSE_MS = 10_000;
const MAX_PENDING = 256;
const ALLOW = "autoplay; clipboard-read; clipboard-write; fullscreen; keyboard-map";
const SANDBOX = "allow-scripts allow-same-origin allow-downloads allow-pointer-lock";

export class FensterClient {
  readonly frame: HTMLIFrameElement;
  readonly #listeners = new Map<DesktopEvent["type"], Set<Listener>>();
  readonly #pending = new Map<number, Pending>();
  /** Commands from before the frame was ready. */
  #waiting: (() => void)[] = [];
  #origin: string | null = null;
  #ready = false;
  #ended = false;
  #nextId = 0;
  #hello: ReturnType<typeof setTimeout> | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** Said again to a frame that was loaded again. */
  #readOnly: boolean;

  constructor(
    container: Node,
    private readonly options: FensterOptions,
  ) {
    const frame = document.createElement("iframe");
    this.frame = frame;
    this.#readOnly = options.readOnly ?? false;
    frame.title = options.title ?? "Desktop";
    frame.allow = ALLOW;
    frame.setAttribute("sandbox", SANDBOX);
    frame.referrerPolicy = "no-referrer";
    Object.assign(frame.style, { display: "block", width: "100%", height: "100%", border: "0" });
    frame.addEventListener("load", this.#greet);
    window.addEventListener("message", this.#hear);
    container.appendChild(frame);
    void this.#open();
  }

  /** Hear of an event. Returns what ends that. */
  on<T extends DesktopEvent["type"]>(type: T, listener: (event: EventOf<T>) => void): () => void {
    const listeners = this.#listeners.get(type) ?? new Set<Listener>();
    this.#listeners.set(type, listeners);
    // Called only with events of its type.
    listeners.add(listener as Listener);
    return () => {
      listeners.delete(listener as Listener);
    };
  }

  /** Show the desktop again after `closed`; with a function for `url`, by a new address. */
  async connect(): Promise<void> {
    const credential = typeof this.options.url === "function" ? credentialOf(await this.#address()) : null;
    await this.#send(credential === null ? { type: "connect" } : { type: "connect", credential });
  }

  /** Take the picture away. The session goes on. */
  async disconnect(): Promise<void> {
    await this.#send({ type: "disconnect" });
  }

  async setReadOnly(readOnly: boolean): Promise<void> {
    this.#readOnly = readOnly;
    await this.#send({ type: "setReadOnly", readOnly });
  }

  /** Resolves when asked: `control` tells when it is given. */
  async requestControl(): Promise<void> {
    await this.#send({ type: "requestControl" });
  }

  async releaseControl(): Promise<void> {
    await this.#send({ type: "releaseControl" });
  }

  /** The display's size in px; only who controls may. */
  async resize(width: number, height: number): Promise<void> {
    await this.#send({ type: "resize", width, height });
  }

  /** Put text or a PNG into the desktop's clipboard; resolves when its programs can paste it. */
  async paste(content: string | Blob): Promise<void> {
    if (typeof content === "string") await this.#send({ type: "paste", content: { kind: "text", text: content } });
    else await this.#send({ type: "paste", content: { kind: "png", png: await content.arrayBuffer() } });
  }

  /** Press keys: `"Control+Alt+t"`, `"Enter"`, or `{ text: "ls\n" }`. Names are those of KeyboardEvent.key. */
  async sendKeys(...keys: readonly (string | Keys)[]): Promise<void> {
    await this.#send({ type: "sendKeys", keys: keys.map((key) => (typeof key === "string" ? { chord: chordOf(key) } : key)) });
  }

  /** The picture as it is shown, as a PNG. */
  async screenshot(): Promise<Blob> {
    const picture = await this.#send({ type: "screenshot" });
    if (picture === undefined) throw new FensterError("bad-reply", "The frame sent no picture.");
    return new Blob([picture.png], { type: "image/png" });
  }

  /** Takes the frame away. Commands that wait are rejected. */
  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#hello);
    window.removeEventListener("message", this.#hear);
    this.frame.remove();
    this.#waiting = [];
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new FensterError("destroyed", "The desktop was taken from the page."));
    }
    this.#pending.clear();
  }

  async #address(): Promise<URL> {
    const { url } = this.options;
    const address = new URL(typeof url === "function" ? await url() : url, location.href);
    if (this.#origin !== null && address.origin !== this.#origin) {
      throw new FensterError("bad-url", "The new address is another gateway's.");
    }
    return address;
  }

  async #open(): Promise<void> {
    try {
      const address = await this.#address();
      if (this.#ended) return;
      this.#origin = address.origin;
      address.searchParams.set("bar", this.options.bar ?? "slim");
      this.frame.src = address.href;
    } catch (error) {
      this.#tell({ type: "closed", reason: "unreachable", detail: `There is no address: ${String(error)}` });
    }
  }

  /** Each time that the frame has loaded. */
  readonly #greet = (): void => {
    if (this.#origin === null || this.#ended) return;
    this.#ready = false;
    this.#post({ type: "hello" });
    clearTimeout(this.#hello);
    this.#hello = setTimeout(() => {
      const detail = "The desktop's frame does not answer: the gateway is away, or does not let this page have it.";
      this.#tell({ type: "closed", reason: "unreachable", detail });
    }, HELLO_LIMIT_MS);
  };

  readonly #hear = (event: MessageEvent<unknown>): void => {
    if (event.source === null || event.source !== this.frame.contentWindow || event.origin !== this.#origin) return;
    const message = readFromFrame(event.data);
    if (message === null) return;
    if (message.type === "reply") {
      this.#answered(message);
      return;
    }
    if (message.type === "ready") this.#begin();
    if (message.type === "closed" && message.reason === "unauthorized" && this.#renew(message)) return;
    this.#tell(message);
  };

  #begin(): void {
    clearTimeout(this.#hello);
    this.#ready = true;
    if (this.#readOnly) this.setReadOnly(true).catch(() => undefined);
    for (const post of this.#waiting.splice(0)) post();
  }

  /** Begin to ask for a new address; `closed` is told only when that does not help. */
  #renew(closed: EventOf<"closed">): boolean {
    const now = performance.now();
    if (typeof this.options.url !== "function" || now - this.#renewedAt < RENEW_PAUSE_MS) return false;
    this.#renewedAt = now;
    this.connect().catch(() => {
      this.#tell(closed);
    });
    return true;
  }

  #answered(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    this.#pending.delete(reply.id);
    clearTimeout(pending.timer);
    if (reply.ok) pending.resolve(reply.picture);
    else pending.reject(new FensterError(reply.error.kind, reply.error.message));
  }

  #send(command: Command): Promise<Picture | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(new FensterError("destroyed", "The desktop was taken from the page."));
        return;
      }
      if (this.#pending.size >= MAX_PENDING) {
        reject(new FensterError("busy", `${MAX_PENDING} commands wait for their answers.`));
        return;
      }
      const id = this.#nextId++;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new FensterError("timeout", "The desktop's frame did not answer in time."));
      }, REPLY_LIMIT_MS);
      this.#pending.set(id, { resolve, reject, timer });
      const post = (): void => {
        if (this.#pending.has(id)) this.#post({ ...command, id });
      };
      if (this.#ready) post();
      else this.#waiting.push(post);
    });
  }

  #post(message: { readonly type: "hello" } | (Command & { readonly id: number })): void {
    if (this.#origin !== null) this.frame.contentWindow?.postMessage(sealed(message), this.#origin);
  }

  #tell(event: DesktopEvent): void {
    for (const listener of [...(this.#listeners.get(event.type) ?? [])]) listener(event);
  }
}

/** `"Control+Alt+t"` to its keys. The plus key itself is `"+"`, or the end of `"Control++"`. */
export function chordOf(text: string): string[] {
  if (text === "+") return ["+"];
  return text.endsWith("++") ? [...text.slice(0, -2).split("+"), "+"] : text.split("+");
}

/** The ticket or token in an address's fragment. */
export function credentialOf(address: URL): Credential | null {
  const given = new URLSearchParams(address.hash.slice(1));
  const [ticket, token] = [given.get("ticket"), given.get("token")];
  if (ticket !== null) return { ticket };
  return token === null ? null : { token };
}
