/**
 * The viewer's one state machine: what the session is, which transport shows it, and what to do next. Pure.
 *
 * ::
 *
 *   waiting ──ready──> WebRTC, by UDP or TCP as ICE finds ──late──> noVNC beside it; whichever paints first
 *      ^                 │    ^                │
 *      │                 │    └──tried behind──┘        nothing comes: gap (gap.ts), other ways behind the picture
 *      │                 └──ended──> WebRTC again, else noVNC ──ended──> retry ──time──> noVNC
 *      └── session no longer ready ──┘                    401, 403, 404 without a picture: blocked
 *
 * This module follows the session and the page; ladder.ts decides about attempts. Below the top rung a better one is
 * tried behind the picture (climb.ts). A session that is suspended is waited for too, and may be woken (wake.ts).
 * `step(state, event, clock)` gives the next state and effects for the runner. Time and chance come in with
 * `clock`; {@link deadline} says when a `timer` event is wanted. Each attempt has a number, and an event of one that
 * is not open any more is dropped.
 */
import type { Problem, SessionInfo } from "../api/types";
import type { Clock } from "./clock";
import { staleAt } from "./gap";
import * as ladder from "./ladder";
import { and, became, INITIAL, isPainted, opened, quiet } from "./state";
import type { Effect, Event, State, Step } from "./state";
import { answered, heard, isAsked, wished } from "./wake";
import type { Wake } from "./wake";
import { afterEnd, isFinal, NEW_WATCH } from "./watching";
import type { Pace } from "./watching";

export { deadline, INITIAL, isPainted, pathOf, transportOf } from "./state";
export type { Effect, Event, Phase, State, Step } from "./state";
export type { Path, Transport, Way } from "./rungs";

export function step(state: State, event: Event, clock: Clock): Step {
  if (state.left && event.type !== "start") return became(event.type === "visible" ? { ...state, visible: event.visible } : state);
  switch (event.type) {
    case "start":
      return and(quiet(state, { name: "waiting" }), (left) =>
        became({ ...INITIAL, openedAt: event.openedAt, visible: left.visible, attempts: left.attempts }, [watching(INITIAL)]),
      );
    case "session":
      return onSession(state, event.info, clock);
    case "watch-ended":
      return onWatchEnded(state, event.problem, clock);
    case "visible":
      return ladder.onVisible(state, event.visible, clock);
    case "network":
      return onNetwork(state, clock);
    case "news":
      // The stream tells by itself.
      return isPainted(state.phase) ? asked(state) : became(state);
    case "again":
      return onAgain(state, clock);
    case "wake":
      return state.session?.state === "suspended" ? waking(state, wished(state.wake)) : became(state);
    case "resume-answered":
      return onResumeAnswered(state, event.problem);
    case "leave":
      return and(quiet(state, { name: "waiting" }), (quieted) => became({ ...quieted, left: true }, [{ do: "unwatch" }]));
    case "timer":
      return onTimer(state, clock);
    default: {
      // Else a replaced attempt's last words.
      const open = opened(state).find(({ attempt }) => attempt === event.attempt);
      return open === undefined ? became(state) : ladder.onAttempt(state, open, event, clock);
    }
  }
}

function watching({ phase, gap }: State): Effect {
  const stream = !isPainted(phase);
  return gap === null ? { do: "watch", stream } : { do: "watch", stream, urgent: true };
}

/** Asks for the session afresh. */
function asked(state: State): Step {
  return became({ ...state, watch: { ...state.watch, retryAt: null } }, [watching(state)]);
}

/** What waits goes on at once. */
function onNetwork(state: State, clock: Clock): Step {
  if (state.phase.name === "blocked" || (state.session !== null && isOver(state.session))) return became(state);
  return and(ladder.onNetwork(state, clock), asked);
}

function onSession(state: State, info: SessionInfo, clock: Clock): Step {
  const wasAway = state.watch.problem !== null;
  const { state: next, effects } = waking({ ...state, session: info, watch: NEW_WATCH }, heard(state.wake, info.state));
  if (info.state !== "ready") {
    // A session that has ended says nothing more.
    const silence: Effect[] = isOver(info) ? [{ do: "unwatch" }] : [];
    return and(quiet(next, { name: "waiting" }), (left) => became({ ...left, why: null, failures: 0 }, [...silence, ...effects]));
  }
  return and(became(next, effects), (ready) => {
    switch (ready.phase.name) {
      case "waiting":
      case "blocked":
        return ladder.openFront(ready, "webrtc", clock);
      case "retry":
        return wasAway ? ladder.openFront(ready, "novnc", clock) : became(ready);
      default:
        return ladder.onGateway(ready, null, clock);
    }
  });
}

function isOver(info: SessionInfo): boolean {
  return info.state === "stopped" || info.state === "failed";
}

/** With this wish, and the call if it is a new one. */
function waking(state: State, wake: Wake): Step {
  return became({ ...state, wake }, isAsked(state.wake, wake) ? [{ do: "resume" }] : []);
}

function onResumeAnswered(state: State, problem: Problem | null): Step {
  const wake = answered(state.wake, problem);
  if (wake.name !== "accepted" || state.wake.name === "accepted") return became({ ...state, wake });
  // What the stream says may be older than the answer; a fresh one begins with what is now.
  return became({ ...state, wake, watch: { ...state.watch, retryAt: null } }, [{ do: "watch", stream: true }]);
}

function onWatchEnded(state: State, problem: Problem | null, clock: Clock): Step {
  const watch = afterEnd(state.watch, problem, paceOf(state), clock);
  if (problem === null) return became({ ...state, watch });
  // A picture that lives stays: it has its own, older permission. One that is frozen is no sign of a session.
  const lives = isPainted(state.phase) && state.gap === null;
  if (lives || !isFinal(watch, state.session !== null, clock)) return ladder.onGateway({ ...state, watch }, problem, clock);
  return quiet({ ...state, watch: { ...watch, retryAt: null } }, { name: "blocked", problem });
}

function paceOf({ phase, gap }: State): Pace {
  if (gap !== null || phase.name === "retry") return "interrupted";
  return isPainted(phase) ? "picture" : "none";
}

function onAgain(state: State, clock: Clock): Step {
  const next: State = { ...state, why: null, failures: 0, climb: { ...state.climb, failures: 0 } };
  if (state.session?.state !== "ready" || state.phase.name === "blocked") {
    return and(quiet(next, { name: "waiting" }), (left) => became(left, [{ do: "watch", stream: true }]));
  }
  // A picture that is there stays until a better one is.
  if (isPainted(state.phase)) return state.gap === null ? ladder.climbNow(next, 0, clock) : onNetwork(next, clock);
  return state.trials.length > 0 ? became(next) : ladder.openFront(next, "webrtc", clock);
}

function onTimer(state: State, clock: Clock): Step {
  const { phase, watch, climb, gap } = state;
  const due = (time: number | null): boolean => time !== null && clock.now >= time;
  const late = opened(state).find(({ paintBy }) => due(paintBy));
  if (late !== undefined) return ladder.onPaintBy(state, late, clock);
  if (due(state.hedgeAt)) return ladder.onHedge(state, clock);
  if (phase.name === "retry" && due(phase.retryAt)) return ladder.openFront(state, "novnc", clock);
  if (gap !== null && due(gap.seekAt)) return ladder.onSeek(state, clock);
  if (gap !== null && due(staleAt(gap))) return became({ ...state, gap: { ...gap, stale: true } });
  if (due(climb.retryAt)) return ladder.onClimb(state, clock);
  return due(watch.retryAt) ? asked(state) : became(state);
}
