/** Following the session's state through failures: when to ask again, and when a refusal is believed. Pure. */
import type { Problem } from "../api/types";
import { jittered } from "./clock";
import type { Clock } from "./clock";

/**
 * When to ask again, in ms: the first pause, and the longest that it grows to.
 *
 * - `picture`: there is one. A stream would hold one of the six connections that a browser opens to a host over
 *   HTTP/1.1, and a seventh tab would hang.
 * - `interrupted`: there was one, and it comes back when the gateway does.
 * - `none`: there is none yet.
 */
const PACES = {
  picture: { firstMs: 5_000, maxMs: 5_000 },
  interrupted: { firstMs: 500, maxMs: 1_500 },
  none: { firstMs: 1_000, maxMs: 5_000 },
} as const;
export type Pace = keyof typeof PACES;
/** A session that was there may be unknown to a gateway, or to the proxy before it, that has just started: this long, in ms. */
export const REFUSAL_GRACE_MS = 5_000;

export interface Watch {
  /** In a row. */
  readonly failures: number;
  /** When to ask again, in the clock's ms; null while under way, or when there is nothing more to ask. */
  readonly retryAt: number | null;
  readonly problem: Problem | null;
  /** The first of the refusals in a row, in the clock's ms. */
  readonly refusedSince: number | null;
}

export const NEW_WATCH: Watch = { failures: 0, retryAt: null, problem: null, refusedSince: null };

/** Credentials refused or session unknown. */
export function isRefusal(problem: Problem | null): boolean {
  return problem !== null && [401, 403, 404].includes(problem.status);
}

/** After the stream or the poll ended, `problem` being null when it just closed. */
export function afterEnd(watch: Watch, problem: Problem | null, pace: Pace, clock: Clock): Watch {
  const failures = problem === null ? 0 : watch.failures + 1;
  const { firstMs, maxMs } = PACES[pace];
  const pause = Math.min(firstMs * 2 ** Math.max(failures - 1, 0), maxMs);
  return {
    failures,
    retryAt: clock.now + jittered(pause, clock),
    problem,
    refusedSince: isRefusal(problem) ? (watch.refusedSince ?? clock.now) : null,
  };
}

/** Will waiting not mend it? At once when the session was never seen (`known`), else when it goes on. */
export function isFinal(watch: Watch, known: boolean, clock: Clock): boolean {
  if (watch.refusedSince === null) return false;
  return !known || clock.now - watch.refusedSince >= REFUSAL_GRACE_MS;
}
