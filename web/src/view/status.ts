/** The status bar: which transport and why, figures, state, and the few buttons. */
import type { Role } from "../api/types";
import { noteOf } from "../session/describe";
import { isPainted, pathOf, transportOf } from "../session/machine";
import type { State } from "../session/machine";
import { byId } from "./dom";
import { stateLabel } from "./stages";

const TRANSPORT_LABELS = { webrtc: "WebRTC", novnc: "noVNC" } as const;

export class StatusBar {
  readonly #transport = byId("transport", HTMLElement);
  readonly #note = byId("note", HTMLElement);
  readonly #role = byId("role", HTMLElement);
  readonly #fps = byId("fps", HTMLElement);
  readonly #rtt = byId("rtt", HTMLElement);
  readonly #state = byId("state", HTMLElement);
  readonly #again = byId("again", HTMLButtonElement);

  constructor(again: () => void) {
    this.#again.addEventListener("click", again);
  }

  show(state: State, role: Role | null): void {
    const transport = transportOf(state.phase);
    const painted = isPainted(state.phase) && state.gap === null;
    this.#transport.hidden = transport === null;
    const byTcp = transport === "webrtc" && pathOf(state.phase) === "tcp";
    this.#transport.textContent = transport === null ? "" : `${TRANSPORT_LABELS[transport]}${byTcp ? " by TCP" : ""}`;
    this.#transport.className = `pill pill-${painted ? (transport ?? "none") : "pending"}`;
    this.#note.textContent = this.#note.title = noteOf(state);
    this.#note.dataset["warning"] = state.session?.warning ?? "";
    this.#role.hidden = role !== "view";
    this.#state.textContent = state.session === null ? "" : stateLabel(state.session.state);
    this.#state.dataset["state"] = state.session?.state ?? "";
    this.#again.hidden = !(transport === "novnc" && painted);
    if (transport !== "webrtc" || !painted) this.figures(null, null);
  }

  /** Frames in the last second and round trip in ms; null for not known. */
  figures(fps: number | null, rttMs: number | null): void {
    this.#fps.textContent = fps === null ? "" : `${fps} fps`;
    this.#rtt.textContent = rttMs === null ? "" : `${Math.round(rttMs)} ms`;
  }
}
