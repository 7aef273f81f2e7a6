/**
 * A picture that was there and from which nothing comes any more. It stays on the screen, frozen, while the machine
 * finds out whether the gateway answers and tries other ways behind it. Pure; part of the machine's state.
 *
 * ::
 *
 *   nothing comes ──> is the gateway there? ──yes, it was all along──> other ways, at once
 *                       │      ^    └────────yes, it was away─────────> a moment for the old way, then others
 *                       └──no──┘ asked again
 */
import { jittered } from "./clock";
import type { Clock } from "./clock";

/** After the gateway or the network was away, ICE finds its old way back by itself within this, in ms. */
export const RETURN_GRACE_MS = 1_500;
/** A peer that has heard nothing ends itself (RFC 7675: consent expires after 30 s); no old way back then, in ms. */
export const CONSENT_MS = 25_000;
/** From here on the page says that the picture is old, in ms. */
export const STALE_MS = 4_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8_000;

export interface Gap {
  /** In the clock's ms. */
  readonly since: number;
  /** ICE has given the connection up: it will not come back. */
  readonly dead: boolean;
  /** The gateway did not answer at some time of this gap. */
  readonly away: boolean;
  /** When other ways are tried next; null while one is, or while the gateway is asked. */
  readonly seekAt: number | null;
  /** Times that all ways have failed. */
  readonly rounds: number;
  /** It has lasted so long that the person is told over the picture. */
  readonly stale: boolean;
}

export function gapSince(now: number): Gap {
  return { since: now, dead: false, away: false, seekAt: null, rounds: 0, stale: false };
}

/** The gateway answers: when to try other ways. */
export function answered(gap: Gap, clock: Clock): Gap {
  const mayReturn = gap.away && !gap.dead && clock.now - gap.since < CONSENT_MS;
  return { ...gap, away: false, seekAt: clock.now + (mayReturn ? RETURN_GRACE_MS : 0) };
}

/** Each way has failed. */
export function exhausted(gap: Gap, clock: Clock): Gap {
  return { ...gap, rounds: gap.rounds + 1, seekAt: clock.now + retryPause(gap.rounds, clock) };
}

/** Pause after so many failures in a row before this one, in ms. */
export function retryPause(failures: number, clock: Clock): number {
  return jittered(Math.min(RETRY_FIRST_MS * 2 ** Math.min(failures, 10), RETRY_MAX_MS), clock);
}

export function staleAt(gap: Gap | null): number | null {
  return gap === null || gap.stale ? null : gap.since + STALE_MS;
}
