/** Time and chance, as the machine gets them. Pure. */

export interface Clock {
  /** Monotonic, in ms. */
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
}

/** Half to whole of the pause, so that many viewers of a restarted gateway do not come back at once. */
export function jittered(pauseMs: number, clock: Clock): number {
  return pauseMs * (0.5 + 0.5 * clock.random);
}
