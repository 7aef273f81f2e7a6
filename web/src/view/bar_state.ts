/**
 * Whether the bar is in view. It stays while anything needs it, a moment longer, and comes when the pointer rests at
 * the window's upper edge. Pure: time is an argument, in ms.
 */

/** What keeps it in view. */
export type Reason =
  /** There is no picture that it could cover. */
  | "no-picture"
  /** The person pinned it. */
  | "pinned"
  | "hover"
  | "focus"
  /** A panel of it is open. */
  | "panel";

/** A pointer on its way through the edge, to the browser's own tabs, does not mean the bar. */
export const DWELL_MS = 180;
export const LINGER_MS = 900;
/** Longer after a picture came, for news, or when a finger asked: the bar is there to be read, or to be aimed at. */
export const LONG_MS = 4_000;

export class BarState {
  readonly #reasons = new Set<Reason>(["no-picture"]);
  #until = Number.NEGATIVE_INFINITY;
  #edgeSince: number | null = null;

  /** What becomes of a reason. */
  hold(reason: Reason, holds: boolean, now: number): void {
    if (holds === this.#reasons.has(reason)) return;
    if (holds) {
      this.#reasons.add(reason);
      return;
    }
    this.#reasons.delete(reason);
    this.#until = Math.max(this.#until, now + (reason === "no-picture" ? LONG_MS : LINGER_MS));
  }

  /** It has something to say. */
  news(now: number): void {
    this.#until = Math.max(this.#until, now + LONG_MS);
  }

  /** Is the pointer at the upper edge? */
  edge(at: boolean, now: number): void {
    if (!at) this.#edgeSince = null;
    else this.#edgeSince ??= now;
  }

  /** The handle: in view for a while, or away at once where nothing but time or the pointer holds it. */
  toggle(now: number): void {
    if (this.shown(now)) this.away();
    else this.#until = now + LONG_MS;
  }

  /** The person turned to the picture. */
  away(): void {
    this.#until = Number.NEGATIVE_INFINITY;
    this.#edgeSince = null;
    this.#reasons.delete("hover");
  }

  shown(now: number): boolean {
    if (this.#edgeSince !== null && now - this.#edgeSince >= DWELL_MS) this.#until = Math.max(this.#until, now + LINGER_MS);
    return this.#reasons.size > 0 || now < this.#until;
  }

  /** When {@link shown} may say otherwise; null when only an event changes it. */
  deadline(now: number): number | null {
    const dwell = this.#edgeSince !== null && now < this.#edgeSince + DWELL_MS ? this.#edgeSince + DWELL_MS : null;
    const end = this.#reasons.size === 0 && now < this.#until ? this.#until : null;
    return dwell === null || end === null ? (dwell ?? end) : Math.min(dwell, end);
  }
}
