/**
 * Which attempts are open, and which of them is in front. Pure; the machine's part that is about the picture.
 *
 * An attempt is in front from when it is opened for want of a picture, or from when it has painted behind another that
 * is worse or says nothing more. Whichever paints first is shown; the better one that is late takes over.
 */
import type { Problem } from "../api/types";
import { CLIMB_SOON_MS, isWorthRetrying, pauseOf } from "./climb";
import type { Climb } from "./climb";
import { jittered } from "./clock";
import type { Clock } from "./clock";
import { answered, exhausted, gapSince, retryPause } from "./gap";
import { attemptOf, HEDGE_MS, level, paintedAt, progressed, RUNGS, wayUp } from "./rungs";
import type { Attempt, Way } from "./rungs";
import { and, became, closing, isOpen, isPainted, opened, quiet } from "./state";
import type { AttemptEvent, Effect, State, Step } from "./state";
import type { Why } from "./why";

/**
 * A picture that stood this long was one: when WebRTC's ends it is tried first again, and failures before it are
 * forgotten. One that did not counts as a failure, so that a path that flaps is climbed to more and more rarely. In ms.
 */
export const STEADY_MS = 10_000;

/** Opens a way to the picture that there is none of, in front of all that is open. */
export function openFront(state: State, way: Way, clock: Clock): Step {
  const attempt = state.attempts + 1;
  const phase = attemptOf(way, attempt, state.visible, clock.now);
  const next = { ...state, phase, trials: [], gap: null, attempts: attempt, climb: { ...state.climb, retryAt: null } };
  return became(hedging(next, phase, "opened", clock), [...closing(opened(state)), { do: "open", way, attempt }]);
}

function openBehind(state: State, way: Way, clock: Clock): Step {
  const attempt = state.attempts + 1;
  const trial = attemptOf(way, attempt, true, clock.now);
  const next = { ...state, trials: [...state.trials, trial], attempts: attempt, climb: { ...state.climb, retryAt: null } };
  return became(isWanted(state) ? hedging(next, trial, "opened", clock) : next, [{ do: "open", way, attempt }]);
}

/** Is any picture better than what there is? */
function isWanted({ phase, gap }: State): boolean {
  return gap !== null || !isPainted(phase);
}

function has(state: State, transport: Attempt["name"]): boolean {
  return state.trials.some(({ name }) => name === transport);
}

/** With the time when noVNC is opened beside `open`. */
function hedging(state: State, open: Attempt, stage: keyof typeof HEDGE_MS, clock: Clock): State {
  const useful = open.name === "webrtc" && state.visible && !has(state, "novnc");
  return { ...state, hedgeAt: useful ? clock.now + HEDGE_MS[stage] : null };
}

export function onHedge(state: State, clock: Clock): Step {
  const next = { ...state, hedgeAt: null };
  return isWanted(state) && !has(state, "novnc") ? openBehind(next, "novnc", clock) : became(next);
}

export function onAttempt(state: State, open: Attempt, event: AttemptEvent, clock: Clock): Step {
  switch (event.type) {
    case "painted":
      return onPainted(state, open, clock);
    case "progress": {
      const next = replaced(state, progressed(open, event.sign, clock.now));
      const urgent = open.name === "webrtc" && isWanted(state) && state.hedgeAt !== null;
      return became(urgent ? hedging(next, open, event.sign, clock) : next);
    }
    case "path":
      return event.path === open.path ? became(state) : settled(replaced(state, { ...open, path: event.path }), clock);
    case "silent":
      return onSilent(state, open, false, clock);
    case "heard":
      return state.phase === open ? settled({ ...state, gap: null, hedgeAt: null }, clock) : became(state);
    case "connection":
      if (event.state === "closed") return fail(state, open, { kind: "closed", detail: "" }, clock);
      if (event.state !== "failed") return became(state);
      // One that has painted keeps its picture until there is another.
      return open.painted ? onSilent(state, open, true, clock) : fail(state, open, { kind: "unconnected" }, clock);
    case "closed":
      return fail(state, open, event.why, clock);
  }
}

function replaced(state: State, open: Attempt): State {
  if (isOpen(state.phase) && state.phase.attempt === open.attempt) return { ...state, phase: open };
  return { ...state, trials: state.trials.map((trial) => (trial.attempt === open.attempt ? open : trial)) };
}

function onPainted(state: State, open: Attempt, clock: Clock): Step {
  if (open.painted) return became(state);
  const { phase, gap } = state;
  const isFront = phase === open;
  if (!isFront && isOpen(phase) && phase.painted && gap === null && level(open) <= level(phase)) {
    return and(became(without(state, open), closing([open])), (next) => settled(next, clock));
  }
  const front = paintedAt(open, clock.now);
  const others = opened(state).filter((other) => other !== open);
  // What could still do better goes on behind it.
  const stays = others.filter((other) => !other.painted && level(other) > level(front));
  const why = front.name === "webrtc" ? null : (state.why ?? whyBelow(state));
  const next: State = { ...state, phase: front, trials: stays, hedgeAt: null, gap: null, failures: 0, why };
  const effects: Effect[] = [
    // In this order: what closes leaves its last picture, and what is shown takes it away.
    ...closing(others.filter((other) => !stays.includes(other))),
    { do: "show", attempt: front.attempt },
    { do: "mark-painted", transport: front.name, elapsedMs: Math.round(clock.now - state.openedAt) },
    { do: "watch", stream: false },
  ];
  return and(became(next, effects), (shown) => settled(shown, clock));
}

/** noVNC has painted before WebRTC did, or went on. */
function whyBelow({ gap, phase }: State): Why | null {
  if (!isOpen(phase) || phase.name !== "webrtc") return null;
  return gap === null ? { kind: "no-picture" } : { kind: "lost" };
}

function without(state: State, open: Attempt): State {
  return { ...state, trials: state.trials.filter((trial) => trial !== open) };
}

/** Closes trials that cannot better a picture that is well, and says when the next is due. */
function settled(state: State, clock: Clock): Step {
  const { phase, trials } = state;
  if (!isOpen(phase) || isWanted(state)) return became(state);
  const useless = trials.filter((trial) => level(trial) <= level(phase));
  const left = trials.filter((trial) => !useless.includes(trial));
  const climb = { ...state.climb, failures: state.climb.failures + useless.length };
  const due = wayUp(phase) !== null && left.length === 0 && isWorthRetrying(state.why);
  const retryAt = due ? (climb.retryAt ?? clock.now + jittered(pauseOf(climb), clock)) : null;
  return became({ ...state, trials: left, climb: { ...climb, retryAt } }, closing(useless));
}

/** A better rung behind the picture; a hidden page paints nothing, so it waits. */
export function onClimb(state: State, clock: Clock): Step {
  const next = { ...state, climb: { ...state.climb, retryAt: null } };
  const way = isOpen(state.phase) ? wayUp(state.phase) : null;
  if (way === null || isWanted(state)) return became(next);
  return state.visible ? openBehind(next, way, clock) : settled(next, clock);
}

/** Climb at once: somebody asks for it, or the network is another. */
export function climbNow(state: State, pauseMs: number, clock: Clock): Step {
  const { phase, trials } = state;
  if (!isOpen(phase) || isWanted(state) || trials.length > 0 || wayUp(phase) === null) return became(state);
  const next = { ...state, climb: { failures: 0, retryAt: isWorthRetrying(state.why) ? clock.now + pauseMs : null } };
  return pauseMs === 0 ? onClimb(next, clock) : became(next);
}

/** Of a picture that has ended. */
function fallen({ climb }: State, front: Attempt, clock: Clock): Climb {
  return { failures: stood(front, clock) ? 0 : climb.failures + 1, retryAt: null };
}

function stood({ paintedAt }: Attempt, clock: Clock): boolean {
  return paintedAt !== null && clock.now - paintedAt >= STEADY_MS;
}

function onSilent(state: State, open: Attempt, dead: boolean, clock: Clock): Step {
  if (state.phase !== open || !open.painted) return became(state);
  if (state.gap !== null) return became({ ...state, gap: { ...state.gap, dead: state.gap.dead || dead } });
  // A climb that is under way was for a picture that is well.
  const next = { ...state, trials: [], gap: { ...gapSince(clock.now), dead }, climb: fallen(state, open, clock) };
  return and(became(next, closing(state.trials)), asking);
}

/** Asks whether the gateway is there. */
export function asking(state: State): Step {
  return became({ ...state, watch: { ...state.watch, retryAt: null } }, [{ do: "watch", stream: false, urgent: true }]);
}

/** The gateway has answered, or not, while nothing comes from the picture. */
export function onGateway(state: State, problem: Problem | null, clock: Clock): Step {
  const { gap } = state;
  if (gap === null) return became(state);
  if (problem !== null) return became({ ...state, gap: { ...gap, away: true, seekAt: null } });
  if (gap.seekAt !== null || state.trials.length > 0) return became(state);
  const sought = answered(gap, clock);
  const next = { ...state, gap: sought };
  return sought.seekAt === clock.now ? onSeek(next, clock) : became(next);
}

/** Other ways behind the frozen picture. */
export function onSeek(state: State, clock: Clock): Step {
  const { gap, phase } = state;
  if (gap === null || !isOpen(phase)) return became(state);
  const next = { ...state, gap: { ...gap, seekAt: null } };
  // Seen again, the page asks for the gateway first.
  if (!state.visible || state.trials.length > 0) return became(next);
  return openBehind(next, phase.name === "webrtc" && isWorthRetrying(state.why) ? "webrtc" : "novnc", clock);
}

export function onPaintBy(state: State, open: Attempt, clock: Clock): Step {
  return fail(state, open, { kind: "no-picture" }, clock);
}

export function fail(state: State, open: Attempt, why: Why, clock: Clock): Step {
  if (state.phase === open) return failFront(state, open, why, clock);
  const effects = closing([open]);
  const gone = without(state, open);
  const told: State = { ...gone, why: open.name === "webrtc" && below(state) ? why : gone.why };
  if (state.gap !== null) return and(became(told, effects), (next) => seekOn(next, open, state.gap, clock));
  if (!isPainted(state.phase)) return became(told, effects);
  const climb = { failures: state.climb.failures + 1, retryAt: null };
  return and(became({ ...told, climb }, effects), (next) => settled(next, clock));
}

/** Does noVNC show the picture? Then the reason why WebRTC does not is worth knowing. */
function below({ phase, gap }: State): boolean {
  return gap !== null || phase.name === "novnc";
}

/** A way that was tried in a gap has failed: the next one, or all of them after a pause. */
function seekOn(state: State, failed: Attempt, gap: State["gap"], clock: Clock): Step {
  if (gap === null || state.trials.length > 0) return became(state);
  const next = { ...state, hedgeAt: null };
  if (failed.name === "webrtc" && state.visible) return openBehind(next, "novnc", clock);
  return and(became({ ...next, gap: exhausted(gap, clock) }), asking);
}

function failFront(state: State, front: Attempt, why: Why, clock: Clock): Step {
  if (why.kind === "refused" && [401, 403].includes(why.problem.status) && !front.painted) {
    return quiet(state, { name: "blocked", problem: why.problem });
  }
  const best = state.trials.reduce<Attempt | null>((one, other) => (one === null || level(other) > level(one) ? other : one), null);
  if (best !== null) {
    const next: State = { ...state, phase: best, trials: state.trials.filter((trial) => trial !== best), gap: null };
    return became({ ...next, why: front.name === "webrtc" ? why : next.why }, closing([front]));
  }
  if (front.name === "webrtc") {
    const climb = front.painted ? fallen(state, front, clock) : state.climb;
    if (stood(front, clock) && isWorthRetrying(why)) return openFront({ ...state, why: null, climb }, "webrtc", clock);
    return openFront({ ...state, why, climb }, "novnc", clock);
  }
  // noVNC tries again after a pause, and asks whether the session is still there.
  const retry = { name: "retry", retryAt: clock.now + retryPause(state.failures, clock) } as const;
  const next: State = { ...state, phase: retry, hedgeAt: null, gap: null, failures: state.failures + 1, watch: { ...state.watch, retryAt: null } };
  return became({ ...next, climb: { ...state.climb, retryAt: null } }, [...closing([front]), { do: "watch", stream: true }]);
}

/** The network may be another: what waits goes on at once. In a gap the gateway is to be asked first. */
export function onNetwork(state: State, clock: Clock): Step {
  const { phase, gap } = state;
  if (phase.name === "retry") return openFront(state, "novnc", clock);
  if (gap !== null) return became({ ...state, gap: { ...gap, rounds: 0, seekAt: null } });
  return climbNow(state, CLIMB_SOON_MS, clock);
}

/** Limits do not run while the page is hidden, for nothing is painted then. */
export function onVisible(state: State, visible: boolean, clock: Clock): Step {
  const limit = (open: Attempt): Attempt =>
    open.painted ? open : { ...open, paintBy: visible ? clock.now + RUNGS[open.way].paintMs.opened : null };
  const { phase } = state;
  const next: State = { ...state, visible, phase: isOpen(phase) ? limit(phase) : phase, trials: state.trials.map(limit), hedgeAt: null };
  if (!visible) return became(next);
  const urgent = isWanted(next) ? opened(next).find((open) => open.name === "webrtc" && !open.painted) : undefined;
  const ready = urgent === undefined ? next : hedging(next, urgent, "opened", clock);
  return state.gap === null ? became(ready) : asking(ready);
}
