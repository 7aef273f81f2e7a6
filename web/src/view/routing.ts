/**
 * Where the page's input and clipboard go: to the connection by which they count, which is mostly the one that is seen.
 * What is typed while one connection takes over from another is lost by none (input/unheard.ts).
 */
import type { ClipboardHub } from "../clipboard/hub";
import type { ClipboardLine } from "../clipboard/line";
import type { InputHub, Sinks } from "../input/hub";
import type { KeyOp } from "../input/keyboard";
import type { Speaker } from "../input/sink";
import { Unheard } from "../input/unheard";
import { speakerOf } from "../session/standing";
import { opened } from "../session/state";
import type { State } from "../session/state";
import type { RtcTransport } from "../transport/rtc";

export interface Route extends Sinks {
  readonly clipboard: ClipboardLine;
  readonly speaker: Speaker;
  /** Null for noVNC. */
  readonly rtc: RtcTransport | null;
}

export class Routing {
  readonly unheard = new Unheard(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  /** For each open attempt that takes input. */
  readonly #routes = new Map<number, Route>();
  /** What each open attempt said last of whether input by it counts. */
  readonly #live = new Map<number, boolean>();
  #routed: Route | null = null;
  #readOnly = false;

  constructor(
    private readonly input: InputHub,
    private readonly clipboard: ClipboardHub,
  ) {}

  get(attempt: number): Route | undefined {
    return this.#routes.get(attempt);
  }

  open(attempt: number, route: Route): void {
    this.#routes.set(attempt, route);
  }

  /** Before a transport closes: what is held must be released through it. */
  close(attempt: number): void {
    const route = this.#routes.get(attempt);
    this.#routes.delete(attempt);
    this.#live.delete(attempt);
    if (route !== undefined && route === this.#routed) this.#connect(null);
  }

  /** What an attempt says of whether input by it counts. */
  hear(attempt: number, controls: boolean): void {
    this.#live.set(attempt, controls);
  }

  /** Whether input by the connection that is in use counts; null while it has not said, or another may take over. */
  live(state: State): boolean | null {
    const speaker = this.#speaker(state);
    if (speaker === null) return null;
    const said = this.#live.get(speaker) ?? null;
    const undecided = opened(state).some(({ attempt }) => !this.#live.has(attempt));
    return said === false && undecided ? null : said;
  }

  /**
   * Input follows the picture: a transport that is only being tried gets none, unless it is the one by which this
   * page's input counts already.
   */
  follow(state: State): void {
    const speaker = this.#speaker(state);
    const route = speaker === null ? null : (this.#routes.get(speaker) ?? null);
    if (route !== this.#routed) this.#connect(route);
  }

  /** Input counts: what other ways have lost is said now. */
  sayAgain(): void {
    this.#routed?.speaker.sayAgain();
  }

  /** Nothing goes to the guest's clipboard, nor comes from it. */
  set readOnly(readOnly: boolean) {
    this.#readOnly = readOnly;
    this.#join();
  }

  /** Press keys for the page around this one. False when this page's input does not count. */
  press(ops: readonly KeyOp[]): boolean {
    if (this.#routed === null || !this.input.allowed) return false;
    this.#routed.keys.keys(ops);
    return true;
  }

  #speaker(state: State): number | null {
    return "attempt" in state.phase ? speakerOf(state.phase.attempt, state, this.#live) : null;
  }

  #connect(route: Route | null): void {
    this.#routed = route;
    this.input.connect(route);
    this.#join();
  }

  #join(): void {
    const routed = this.#readOnly ? null : this.#routed;
    this.clipboard.connect(routed?.clipboard ?? null, routed?.keys ?? null);
  }
}
