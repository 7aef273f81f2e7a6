/**
 * Hearing the desktop: the sound button, an audio element of its own (the picture never waits for it), and what the
 * person chose, which outlives transports and reloads of this tab.
 */
import { tab } from "../api/storage";
import type { Transport } from "../session/machine";
import { soundView } from "./button";
import type { Hearing } from "./button";

/** The sound of one WebRTC connection. */
export interface SoundLine {
  readonly track: MediaStreamTrack;
  /** Ask the agent to send, or to stop. */
  ask(on: boolean): void;
}

const GESTURES = ["pointerdown", "keydown"] as const;

export class Sound {
  #line: SoundLine | null = null;
  #hearing: Hearing = "none";
  #wanted: boolean;
  #blocked = false;

  /** `slot`: where the choice is kept. */
  constructor(
    private readonly button: HTMLButtonElement,
    private readonly audio: HTMLAudioElement,
    private readonly slot: string,
  ) {
    this.#wanted = tab.get(slot) === "on";
    button.addEventListener("click", () => {
      this.#choose(!this.#wanted);
    });
    for (const gesture of GESTURES) window.addEventListener(gesture, this.#touched, { capture: true });
    this.#show();
  }

  /** The transport whose picture is shown, and its line: null where it has none, undefined while that is unknown. */
  connect(transport: Transport | null, line: SoundLine | null | undefined): void {
    this.#hearing = hearingOf(transport, line);
    const usable = this.#hearing === "ready" ? (line ?? null) : null;
    if (usable !== this.#line) {
      this.#line = usable;
      this.#apply();
    }
    this.#show();
  }

  #choose(wanted: boolean): void {
    this.#wanted = wanted;
    tab.set(this.slot, wanted ? "on" : "off");
    this.#apply();
    this.#show();
  }

  #apply(): void {
    const line = this.#line;
    this.#blocked = false;
    if (line !== null && (this.#wanted || this.audio.srcObject !== null)) line.ask(this.#wanted);
    if (line === null || !this.#wanted) {
      this.audio.pause();
      this.audio.srcObject = null;
      return;
    }
    this.audio.srcObject = new MediaStream([line.track]);
    this.#play();
  }

  #play(): void {
    const line = this.#line;
    this.audio.play().catch((error: unknown) => {
      // AbortError: another line, or off, came meanwhile.
      if (line !== this.#line || !(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      this.#blocked = true;
      this.#show();
    });
  }

  /** After a reload the browser may play only once the person has touched the page. */
  readonly #touched = (): void => {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#play();
    this.#show();
  };

  #show(): void {
    const { state, label } = soundView(this.#hearing, this.#wanted, this.#blocked);
    document.documentElement.dataset["sound"] = state;
    this.button.disabled = state === "unavailable";
    this.button.setAttribute("aria-pressed", String(state === "on" || state === "blocked"));
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
  }
}

function hearingOf(transport: Transport | null, line: SoundLine | null | undefined): Hearing {
  if (transport === "novnc") return "novnc";
  if (transport === null || line === undefined) return "none";
  return line === null ? "mute" : "ready";
}
