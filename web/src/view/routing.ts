/**
 * Where the page's input and clipboard go: to the connection by which they count, which is mostly the one that is seen.
 * What is typed while one connection takes over from another is lost by none (input/unheard.ts).
 */
import type { ClipboardHub } from "../clipboard/hub";
import type { ClipboardLine } from "../clipboard/line";
import type { InputHub, Sinks } from "../input/hub";
import type { KeyOp } from "../input/keyboard";
import { KeptKeys } from "../input/sink";
import type { Speaker } from "../input/sink";
import { Unheard } from "../input/unheard";
import { speakerOf } from "../session/standing";
import { opened } from "../session/state";
import type { State } from "../session/state";
import type { RtcTransport } from "../transport/rtc";

/**
 * Control passes between a page's own connections, and each tells of it by its own way: the one that loses it before
 * the one that gets it, and a new one begins without. Only what is the same for so long is the whole truth, in ms.
 */
export const HANDOVER_MS = 2_000;

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
  #settlesAt = 0;
  #routed: Route | null = null;
  /** Where keys go while one connection is closed and the next does not take any yet. */
  readonly #between: Sinks = { keys: new KeptKeys(this.unheard), pointer: null };
  #sinks: Sinks | null = null;
  #readOnly = false;

  constructor(
    private readonly input: Pick<InputHub, "connect" | "allowed">,
    private readonly clipboard: Pick<ClipboardHub, "connect">,
  ) {}

  get(attempt: number): Route | undefined {
    return this.#routes.get(attempt);
  }

  open(attempt: number, route: Route): void {
    this.#routes.set(attempt, route);
  }

  /** Before a transport closes: what is held must be released through it. */
  close(attempt: number, now: number): void {
    const route = this.#routes.get(attempt);
    this.#routes.delete(attempt);
    // Control goes to one that is left.
    if (this.#live.delete(attempt)) this.#settlesAt = now + HANDOVER_MS;
    if (route !== undefined && route === this.#routed) this.#connect(null, this.#between);
  }

  /** What an attempt says of whether input by it counts; `now` in ms. */
  hear(attempt: number, controls: boolean, now: number): void {
    if (this.#live.get(attempt) !== controls) this.#settlesAt = now + HANDOVER_MS;
    this.#live.set(attempt, controls);
  }

  /**
   * Whether input by the connection that is in use counts; null while it has not said, or another of this page may take
   * over. After {@link HANDOVER_MS} without news the answer may be another; `now` in ms.
   */
  live(state: State, now: number): boolean | null {
    const speaker = this.#speaker(state);
    if (speaker === null) return null;
    const said = this.#live.get(speaker) ?? null;
    const undecided = now < this.#settlesAt || opened(state).some(({ attempt }) => this.#live.get(attempt) !== false);
    return said === false && undecided ? null : said;
  }

  /**
   * Input follows the picture: a transport that is only being tried gets none, unless it is the one by which this
   * page's input counts already.
   */
  follow(state: State): void {
    const speaker = this.#speaker(state);
    const route = speaker === null ? null : (this.#routes.get(speaker) ?? null);
    // Its picture may be there before it takes input. Who has typed goes on; before that the browser keeps its keys.
    const between = speaker !== null && this.#sinks !== null ? this.#between : null;
    if ((route ?? between) !== this.#sinks) this.#connect(route, route ?? between);
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
    if (this.#sinks === null || !this.input.allowed) return false;
    this.#sinks.keys.keys(ops);
    return true;
  }

  #speaker(state: State): number | null {
    // One that is only on its way takes no input, whatever it says.
    const trials = state.trials.filter(({ attempt }) => this.#routes.has(attempt));
    return "attempt" in state.phase ? speakerOf(state.phase.attempt, { trials }, this.#live) : null;
  }

  #connect(route: Route | null, sinks: Sinks | null): void {
    this.#routed = route;
    this.#sinks = sinks;
    this.input.connect(sinks);
    this.#join();
  }

  #join(): void {
    const routed = this.#readOnly ? null : this.#routed;
    this.clipboard.connect(routed?.clipboard ?? null, routed?.keys ?? null);
  }
}
