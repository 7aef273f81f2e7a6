/** `/embed/{id}`: the viewer in a frame of another page, which it tells of itself and takes commands from. */
import type { Command, Credential, DesktopEvent, FromPage } from "../../packages/client/src/protocol.js";
import { taken } from "../api/credentials";
import { problemOf } from "../api/http";
import { exchanged } from "../api/ticket";
import { isRecord } from "../api/types";
import { claimViewerId } from "../api/viewer_id";
import type { Content } from "../clipboard/content";
import type { Audience, View } from "../view/audience";
import { Viewer } from "../view/viewer";
import "../styles/embed.css";
import { Border } from "./border";
import { errorOf, run } from "./commands";
import type { Desk } from "./commands";
import { changes, report } from "./report";

class Embedded implements Audience, Desk {
  readonly access: { readonly id: string; token: string; readonly viewer: string };
  readonly viewer: Viewer;
  readonly #border: Border;
  #told: readonly DesktopEvent[] = [];
  #view: View | null = null;
  #copied: Content | null = null;

  constructor(id: string) {
    this.access = { id, token: "", viewer: claimViewerId(`fenster.viewer.${id}`) };
    this.#border = new Border(window.parent, this.#heard);
    this.viewer = new Viewer(this.access, this);
    // By itself, without a page around it, it is a viewer like any other.
    if (window.parent !== window) window.addEventListener("message", this.#border.hear);
  }

  /** By the URL's ticket or token, else by the one that this frame had before it was loaded again. */
  async open(): Promise<void> {
    const [ticket, token] = [taken("ticket"), taken("token")];
    const credential = ticket !== null ? { ticket } : token !== null ? { token } : kept();
    if (credential === null) {
      this.viewer.leave();
      return;
    }
    try {
      await this.#admit(credential);
      this.viewer.start();
    } catch (error) {
      this.viewer.refuse(problemOf(error));
    }
  }

  async connect({ credential }: Extract<Command, { readonly type: "connect" }>): Promise<void> {
    if (credential !== undefined) await this.#admit(credential);
    const shut = this.#view === null || this.#view.off || this.#view.state.phase.name === "blocked";
    if (credential !== undefined || shut) this.viewer.start(performance.now());
  }

  shown(view: View): void {
    this.#view = view;
    const events = report(view);
    for (const event of changes(this.#told, events)) this.#border.post(event);
    this.#told = events;
  }

  figures(fps: number | null, rttMs: number | null): void {
    const shown = this.viewer.picture;
    if (shown === null) return;
    const [width, height] = shown instanceof HTMLVideoElement ? [shown.videoWidth, shown.videoHeight] : [shown.width, shown.height];
    this.#border.post({ type: "stats", fps, rttMs, width, height });
  }

  copied(content: Content | null): void {
    if (content === this.#copied) return;
    this.#copied = content;
    if (content?.kind === "text") this.#border.post({ type: "clipboard", content });
    else if (content !== null) this.#border.post({ type: "clipboard", content: { kind: "png", png: content.data.slice().buffer } });
  }

  readonly #heard = (message: FromPage): void => {
    switch (message.type) {
      case "hello":
        this.#border.post({ type: "ready", session: this.access.id });
        for (const event of this.#told) this.#border.post(event);
        break;
      case "malformed":
        this.#border.post({ type: "reply", id: message.id, ok: false, error: { kind: "bad-command", message: message.message } });
        break;
      case "command":
        void this.#answer(message.id, message.command);
    }
  };

  async #answer(id: number, command: Command): Promise<void> {
    try {
      const picture = await run(command, this);
      if (picture === undefined) this.#border.post({ type: "reply", id, ok: true });
      else this.#border.post({ type: "reply", id, ok: true, picture }, [picture.png]);
    } catch (error) {
      this.#border.post({ type: "reply", id, ok: false, error: errorOf(error) });
    }
  }

  async #admit(credential: Credential): Promise<void> {
    const token = "token" in credential ? credential.token : await exchanged(credential.ticket);
    this.access.token = token;
    // Of this frame alone, and there where a frame has no storage: two frames of one page share theirs.
    history.replaceState({ token }, "");
  }
}

function kept(): Credential | null {
  const state: unknown = history.state;
  return isRecord(state) && typeof state["token"] === "string" ? { token: state["token"] } : null;
}

if (new URLSearchParams(location.search).get("bar") === "none") document.documentElement.dataset["frame"] = "none";
// Another fragment is another ticket.
window.addEventListener("hashchange", () => {
  location.reload();
});
void new Embedded(decodeURIComponent(/^\/embed\/([^/]+)/.exec(location.pathname)?.[1] ?? "")).open();
