/**
 * The clipboard over HTTP, for who watches by noVNC: RFB's own is Latin-1 with x11vnc, and knows no pictures.
 *
 * What the guest copies is waited for while this page has the focus, one request at a time: a browser opens six
 * connections to a host, and only one tab can have it.
 */
import { ApiError, request } from "../api/http";
import { sessionUrl } from "../api/watch";
import type { Access } from "../session/runner";
import { bytesOf, NO_WAY, textContent, tooLarge } from "./content";
import type { Content, Ways } from "./content";
import type { ClipboardLine, LineEvents } from "./line";

const WAIT_S = 20;
/** After an answer that was none. */
const PAUSE_MS = 3_000;
const TYPES = { text: "text/plain; charset=utf-8", png: "image/png" } as const;

export class HttpLine implements ClipboardLine {
  readonly #url: string;
  #events: LineEvents | null = null;
  #ways: Ways = NO_WAY;
  #polling: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The digest of what is known; null until something is: what was copied before is nobody's news. */
  #known: string | null = null;
  #open = true;

  constructor(private readonly access: Access) {
    this.#url = `${sessionUrl(access.id)}/clipboard`;
    window.addEventListener("focus", this.#poll);
    window.addEventListener("blur", this.#rest);
  }

  /** What the session lets its viewers copy. */
  set ways(ways: Ways) {
    this.#ways = ways;
    this.#events?.ways(ways);
    if (ways.toViewer) this.#poll();
    else this.#rest();
  }

  async send(content: Content): Promise<boolean> {
    if (!this.#open || !this.#ways.toGuest || tooLarge(content) !== null) return false;
    const body = new Blob([bytesOf(content)], { type: TYPES[content.kind] });
    try {
      await request(this.#url, this.access.token, { method: "PUT", body, headers: { "Content-Type": TYPES[content.kind] } });
      return true;
    } catch {
      return false;
    }
  }

  listen(events: LineEvents | null): void {
    this.#events = events;
    events?.ways(this.#ways);
    if (events === null) this.#rest();
    else this.#poll();
  }

  close(): void {
    this.#open = false;
    this.#rest();
    window.removeEventListener("focus", this.#poll);
    window.removeEventListener("blur", this.#rest);
  }

  readonly #poll = (): void => {
    clearTimeout(this.#timer);
    const wanted = this.#open && this.#events !== null && this.#ways.toViewer && document.hasFocus();
    if (!wanted || this.#polling !== null) return;
    const polling = new AbortController();
    this.#polling = polling;
    this.#ask(polling.signal).then(
      () => {
        this.#again(polling, 0);
      },
      (error: unknown) => {
        if (error instanceof ApiError) this.#again(polling, PAUSE_MS);
      },
    );
  };

  readonly #rest = (): void => {
    clearTimeout(this.#timer);
    this.#polling?.abort();
    this.#polling = null;
  };

  #again(polling: AbortController, pauseMs: number): void {
    if (this.#polling !== polling) return;
    this.#polling = null;
    this.#timer = setTimeout(this.#poll, pauseMs);
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const first = this.#known === null;
    const headers: Record<string, string> = first ? {} : { Prefer: `wait=${WAIT_S}`, "If-None-Match": `"${this.#known ?? ""}"` };
    const response = await request(this.#url, this.access.token, { headers, signal, also: [304] });
    const digest = (response.headers.get("ETag") ?? "").replaceAll('"', "");
    const content = response.status === 200 ? await read(response) : null;
    const changed = digest !== this.#known;
    this.#known = digest;
    if (!first && changed && content !== null && !signal.aborted) this.#events?.copied(content);
  }
}

async function read(response: Response): Promise<Content> {
  if (response.headers.get("Content-Type")?.startsWith("image/png") === true) {
    return { kind: "png", data: new Uint8Array(await response.arrayBuffer()) };
  }
  return textContent(await response.text());
}
