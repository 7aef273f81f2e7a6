/**
 * The way back up: below the top rung a better one is tried behind the picture from time to time, and takes over once
 * it has painted. Nothing is interrupted by a trial that fails. Pure; part of the machine's state.
 */
import type { Why } from "./why";

/** First trial this long after the lower rung's first picture, in ms; the pause doubles with every failure. */
export const CLIMB_FIRST_MS = 3_000;
export const CLIMB_MAX_MS = 60_000;
/** After a sign that the network is another, in ms. */
export const CLIMB_SOON_MS = 200;

export interface Climb {
  /** Trials that failed since there was the top rung, or another network. */
  readonly failures: number;
  /** When the next trial starts, in the clock's ms; null while there is nothing to climb to, or one is under way. */
  readonly retryAt: number | null;
}

export const NO_CLIMB: Climb = { failures: 0, retryAt: null };

/** May another try end otherwise? A browser without WebRTC, or a page of another version, stays what it is. */
export function isWorthRetrying(why: Why | null): boolean {
  if (why?.kind === "refused") return ![401, 403].includes(why.problem.status);
  return why?.kind !== "unsupported" && why?.kind !== "version";
}

/** Pause before the next trial, in ms, before jitter. */
export function pauseOf(climb: Climb): number {
  return Math.min(CLIMB_FIRST_MS * 2 ** Math.min(climb.failures, 10), CLIMB_MAX_MS);
}
