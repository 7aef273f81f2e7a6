/** Pointer moves thinned out and button masks turned into presses. Pure. */
import type { Place } from "./geometry";

/** `MouseEvent.buttons` bit to X button: left, right, middle, back, forward. */
const BUTTONS: readonly (readonly [bit: number, button: number])[] = [
  [1, 1],
  [4, 2],
  [2, 3],
  [8, 8],
  [16, 9],
];

export interface ButtonChange {
  readonly button: number;
  readonly down: boolean;
}

/**
 * Follows `MouseEvent.buttons`. Pointer events report only the first press and the last release as such; the
 * rest come as moves with another mask.
 */
export class Buttons {
  #mask = 0;

  /** X buttons that changed, in X's order. */
  update(mask: number): ButtonChange[] {
    const changes: ButtonChange[] = [];
    for (const [bit, button] of BUTTONS) {
      if ((mask & bit) !== (this.#mask & bit)) changes.push({ button, down: (mask & bit) !== 0 });
    }
    this.#mask = mask;
    return changes;
  }

  /** Forget what is held, as after a release-all. */
  clear(): void {
    this.#mask = 0;
  }

  /** Bit n is X button n (the wire's Held.buttons). */
  get held(): number {
    let held = 0;
    for (const [bit, button] of BUTTONS) if ((this.#mask & bit) !== 0) held |= 1 << button;
    return held;
  }
}

/** At most one place per interval: the first goes at once, of those that follow only the newest, when it is due. */
export class Coalescer {
  #waiting: Place | null = null;
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly intervalMs: number) {}

  /** The place to send now, or null when it waits for {@link deadline}. */
  offer(place: Place, now: number): Place | null {
    if (now < this.#nextAt) {
      this.#waiting = place;
      return null;
    }
    this.#nextAt = now + this.intervalMs;
    this.#waiting = null;
    return place;
  }

  get deadline(): number | null {
    return this.#waiting === null ? null : this.#nextAt;
  }

  /** The place that waited, once it is due. */
  due(now: number): Place | null {
    const place = this.#waiting;
    if (place === null || now < this.#nextAt) return null;
    return this.offer(place, now);
  }

  /** A button said where the pointer is: an older place must not follow it. */
  drop(): void {
    this.#waiting = null;
  }
}
