/**
 * The viewer's one state machine: what the session is, which transport shows it, and what to do next. Pure.
 *
 * ::
 *
 *   waiting ──ready──> webrtc ──no picture in time, or lost─> novnc ──closed──> retry ──time──> novnc
 *      ^                 └────────────── session no longer ready ─────────────────┘
 *      └──────────────────────────────────────┘        401, 403, 404 without a picture: blocked
 *
 * While noVNC shows the picture, WebRTC is tried again behind it (climb.ts) and takes over once it has painted.
 * A session that is suspended is waited for too, and may be woken (wake.ts).
 * `step(state, event, clock)` gives the next state and effects for the runner. Time and chance come in with
 * `clock`; {@link deadline} says when a `timer` event is wanted. Each transport is opened under an attempt
 * number, and an event of another attempt than the present one is dropped.
 */
import type { Problem, SessionInfo } from "../api/types";
import { isWorthRetrying, NO_CLIMB, pauseOf } from "./climb";
import type { Climb, Trial } from "./climb";
import { jittered } from "./clock";
import type { Clock } from "./clock";
import { answered, heard, isAsked, WANTED, wished } from "./wake";
import type { Wake } from "./wake";
import { afterEnd, isFinal, isRefusal, NEW_WATCH } from "./watching";
import type { Watch } from "./watching";
import type { Why } from "./why";

export type Transport = "webrtc" | "novnc";

/** No answer to the offer this long: noVNC instead, in ms. A guest that is still booting under emulation is slow. */
export const ANSWER_LIMIT_MS = 15_000;
/** No picture this long after the answer: noVNC instead, in ms. */
export const PAINT_LIMIT_MS = 5_000;
/** The guest was reached, so datagrams pass: its handshake and first picture may take this long, in ms. */
export const REACHED_LIMIT_MS = 15_000;
const LIMIT_AFTER_MS = { answered: PAINT_LIMIT_MS, reached: REACHED_LIMIT_MS };
/** ICE disconnected or failed this long: lost, in ms. Shorter gaps mend themselves. */
export const LOST_LIMIT_MS = 3_000;
/** noVNC is given longer: nothing comes after it, in ms. */
export const VNC_PAINT_LIMIT_MS = 15_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8_000;

export type Phase =
  | { readonly name: "waiting" }
  | {
      readonly name: Transport;
      readonly attempt: number;
      readonly painted: boolean;
      /** Limit for the first picture; null once it came, and while the page is hidden (nothing is painted then). */
      readonly paintBy: number | null;
      /** Limit for an interrupted WebRTC connection to come back. */
      readonly lostAt: number | null;
    }
  | { readonly name: "retry"; readonly retryAt: number }
  | { readonly name: "blocked"; readonly problem: Problem };

export interface State {
  /** When the page was opened, in the clock's ms. */
  readonly openedAt: number;
  readonly session: SessionInfo | null;
  readonly watch: Watch;
  readonly wake: Wake;
  readonly visible: boolean;
  readonly phase: Phase;
  /** Attempts made so far. */
  readonly attempts: number;
  /** noVNC failures in a row. */
  readonly failures: number;
  /** Why WebRTC is not in use, or null. */
  readonly why: Why | null;
  readonly climb: Climb;
}

export type Event =
  /** `openedAt`: when the page was opened, in the clock's ms. */
  | { readonly type: "start"; readonly openedAt: number }
  | { readonly type: "session"; readonly info: SessionInfo }
  /** The stream of states ended; `problem` is null when it just closed. */
  | { readonly type: "watch-ended"; readonly problem: Problem | null }
  | { readonly type: "painted"; readonly attempt: number }
  /** The offer was answered; the guest was reached (ICE has a pair that works). */
  | { readonly type: "progress"; readonly attempt: number; readonly sign: "answered" | "reached" }
  | { readonly type: "connection"; readonly attempt: number; readonly state: RTCPeerConnectionState }
  | { readonly type: "closed"; readonly attempt: number; readonly why: Why }
  | { readonly type: "visible"; readonly visible: boolean }
  /** The session is another than was heard last, says a transport or a call. */
  | { readonly type: "news" }
  /** A person asks for WebRTC again, or for another try. */
  | { readonly type: "again" }
  /** A person asks for the suspended desktop. */
  | { readonly type: "wake" }
  /** The gateway took the call to resume; with a problem, it did not. */
  | { readonly type: "resume-answered"; readonly problem: Problem | null }
  | { readonly type: "leave" }
  | { readonly type: "timer" };

export type Effect =
  /** Follow the session's states, afresh: as a stream, or by asking once. */
  | { readonly do: "watch"; readonly stream: boolean }
  | { readonly do: "unwatch" }
  | { readonly do: "resume" }
  | { readonly do: "open"; readonly transport: Transport; readonly attempt: number }
  | { readonly do: "close"; readonly attempt: number }
  | { readonly do: "mark-painted"; readonly transport: Transport; /** Since the page was opened. */ readonly elapsedMs: number };

export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}

export const INITIAL: State = {
  openedAt: 0,
  session: null,
  watch: NEW_WATCH,
  wake: WANTED,
  visible: true,
  phase: { name: "waiting" },
  attempts: 0,
  failures: 0,
  why: null,
  climb: NO_CLIMB,
};

/** When the runner must send `timer`, in the clock's ms; null for never. */
export function deadline(state: State): number | null {
  const times = [state.watch.retryAt, state.climb.retryAt, state.climb.trial?.paintBy ?? null];
  if (state.phase.name === "retry") times.push(state.phase.retryAt);
  if (isOpen(state.phase)) times.push(state.phase.paintBy, state.phase.lostAt);
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** The transport of this phase, painted or not. */
export function transportOf(phase: Phase): Transport | null {
  return isOpen(phase) ? phase.name : null;
}

export function isPainted(phase: Phase): boolean {
  return isOpen(phase) && phase.painted;
}

export function step(state: State, event: Event, clock: Clock): Step {
  switch (event.type) {
    case "start":
      return then({ ...INITIAL, openedAt: event.openedAt, visible: state.visible, attempts: state.attempts }, [
        ...closing(state),
        { do: "watch", stream: true },
      ]);
    case "session":
      return onSession(state, event.info, clock);
    case "watch-ended":
      return onWatchEnded(state, event.problem, clock);
    case "visible":
      return onVisible(state, event.visible, clock);
    case "news":
      // A stream tells by itself.
      if (!isPainted(state.phase)) return then(state);
      return then({ ...state, watch: { ...state.watch, retryAt: null } }, [watching(state.phase)]);
    case "again":
      return onAgain(state, clock);
    case "wake":
      return state.session?.state === "suspended" ? waking(state, wished(state.wake)) : then(state);
    case "resume-answered":
      return onResumeAnswered(state, event.problem);
    case "leave":
      return then({ ...state, phase: { name: "waiting" }, climb: NO_CLIMB }, [...closing(state), { do: "unwatch" }]);
    case "timer":
      return onTimer(state, clock);
    case "painted":
    case "progress":
    case "connection":
    case "closed":
      if (state.climb.trial?.attempt === event.attempt) return onTrial(state, state.climb.trial, event, clock);
      // A replaced transport's last words.
      if (!isOpen(state.phase) || state.phase.attempt !== event.attempt) return then(state);
      return onTransport(state, state.phase, event, clock);
  }
}

type OpenPhase = Extract<Phase, { readonly attempt: number }>;
type TransportEvent = Extract<Event, { readonly attempt: number }>;

function isOpen(phase: Phase): phase is OpenPhase {
  return phase.name === "webrtc" || phase.name === "novnc";
}

function then(state: State, effects: readonly Effect[] = []): Step {
  return { state, effects };
}

function watching(phase: Phase): Effect {
  return { do: "watch", stream: !isPainted(phase) };
}

/** Closes all that is open. */
function closing({ phase, climb }: State): Effect[] {
  return [isOpen(phase) ? phase : null, climb.trial]
    .filter((open) => open !== null)
    .map(({ attempt }) => ({ do: "close", attempt }));
}

function open(state: State, transport: Transport, clock: Clock): Step {
  const attempt = state.attempts + 1;
  const limit = transport === "webrtc" ? ANSWER_LIMIT_MS : VNC_PAINT_LIMIT_MS;
  const phase: Phase = {
    name: transport,
    attempt,
    painted: false,
    paintBy: state.visible ? clock.now + limit : null,
    lostAt: null,
  };
  return then({ ...state, phase, attempts: attempt, climb: { ...state.climb, retryAt: null, trial: null } }, [
    ...closing(state),
    { do: "open", transport, attempt },
  ]);
}

function onSession(state: State, info: SessionInfo, clock: Clock): Step {
  const { state: next, effects } = waking({ ...state, session: info, watch: NEW_WATCH }, heard(state.wake, info.state));
  if (info.state !== "ready") {
    // A session that has ended says nothing more.
    const silence: Effect[] = isOver(info) ? [{ do: "unwatch" }] : [];
    return then({ ...next, phase: { name: "waiting" }, why: null, failures: 0, climb: NO_CLIMB }, [
      ...closing(state),
      ...silence,
      ...effects,
    ]);
  }
  return state.phase.name === "waiting" || state.phase.name === "blocked" ? open(next, "webrtc", clock) : then(next);
}

function isOver(info: SessionInfo): boolean {
  return info.state === "stopped" || info.state === "failed";
}

/** With this wish, and the call if it is a new one. */
function waking(state: State, wake: Wake): Step {
  return then({ ...state, wake }, isAsked(state.wake, wake) ? [{ do: "resume" }] : []);
}

function onResumeAnswered(state: State, problem: Problem | null): Step {
  const wake = answered(state.wake, problem);
  if (wake.name !== "accepted" || state.wake.name === "accepted") return then({ ...state, wake });
  // What the stream says may be older than the answer; a fresh one begins with what is now.
  return then({ ...state, wake, watch: { ...state.watch, retryAt: null } }, [{ do: "watch", stream: true }]);
}

function onWatchEnded(state: State, problem: Problem | null, clock: Clock): Step {
  const painted = isPainted(state.phase);
  const watch = afterEnd(state.watch, problem, painted, clock);
  // A picture that is there stays: it has its own, older permission.
  if (problem === null || painted || !isFinal(watch, state.session !== null, clock)) return then({ ...state, watch });
  return then(
    { ...state, watch: { ...watch, retryAt: null }, phase: { name: "blocked", problem }, climb: NO_CLIMB },
    closing(state),
  );
}

function onVisible(state: State, visible: boolean, clock: Clock): Step {
  const phase = state.phase;
  const next = { ...state, visible };
  if (!isOpen(phase) || phase.painted) return then(next);
  const limit = phase.name === "webrtc" ? ANSWER_LIMIT_MS : VNC_PAINT_LIMIT_MS;
  return then({ ...next, phase: { ...phase, paintBy: visible ? clock.now + limit : null } });
}

function onAgain(state: State, clock: Clock): Step {
  const next: State = { ...state, why: null, failures: 0, climb: { ...state.climb, failures: 0 } };
  if (state.session?.state === "ready" && state.phase.name !== "blocked") {
    if (state.climb.trial !== null) return then(next);
    // A picture that is there stays until the better one is.
    return state.phase.name === "novnc" && state.phase.painted ? tryWebrtc(next, clock) : open(next, "webrtc", clock);
  }
  return then({ ...next, phase: { name: "waiting" }, climb: NO_CLIMB }, [...closing(state), { do: "watch", stream: true }]);
}

function onTimer(state: State, clock: Clock): Step {
  const { phase, watch, climb } = state;
  const due = (time: number | null): boolean => time !== null && clock.now >= time;
  if (isOpen(phase) && due(phase.lostAt)) return fail(state, phase, { kind: "lost" }, clock);
  if (isOpen(phase) && due(phase.paintBy)) return fail(state, phase, { kind: "no-picture" }, clock);
  if (phase.name === "retry" && due(phase.retryAt)) return open(state, "novnc", clock);
  if (climb.trial !== null && due(climb.trial.paintBy)) return giveUp(state, climb.trial, { kind: "no-picture" }, clock);
  if (due(climb.retryAt)) return tryWebrtc(state, clock);
  if (due(watch.retryAt)) return then({ ...state, watch: { ...watch, retryAt: null } }, [watching(state.phase)]);
  return then(state);
}

function onTransport(state: State, phase: OpenPhase, event: TransportEvent, clock: Clock): Step {
  switch (event.type) {
    case "painted": {
      if (phase.painted) return then(state);
      const painted: OpenPhase = { ...phase, painted: true, paintBy: null };
      const climb = phase.name === "webrtc" ? NO_CLIMB : nextClimb(state, clock);
      return then({ ...state, phase: painted, failures: 0, climb }, [marked(state, phase.name, clock), watching(painted)]);
    }
    case "progress": {
      // Hidden pages wait without a limit; a painted one has arrived.
      if (phase.paintBy === null) return then(state);
      return then({ ...state, phase: { ...phase, paintBy: clock.now + LIMIT_AFTER_MS[event.sign] } });
    }
    case "connection":
      return onConnection(state, phase, event.state, clock);
    case "closed":
      return fail(state, phase, event.why, clock);
  }
}

function marked(state: State, transport: Transport, clock: Clock): Effect {
  return { do: "mark-painted", transport, elapsedMs: Math.round(clock.now - state.openedAt) };
}

function nextClimb({ climb, why }: State, clock: Clock): Climb {
  const retryAt = isWorthRetrying(why) ? clock.now + jittered(pauseOf(climb), clock) : null;
  return { ...climb, retryAt, trial: null };
}

/** WebRTC behind the picture that noVNC shows; a hidden page paints nothing, so it waits. */
function tryWebrtc(state: State, clock: Clock): Step {
  if (!state.visible || state.phase.name !== "novnc") return then({ ...state, climb: nextClimb(state, clock) });
  const attempt = state.attempts + 1;
  const climb = { ...state.climb, retryAt: null, trial: { attempt, paintBy: clock.now + ANSWER_LIMIT_MS } };
  return then({ ...state, attempts: attempt, climb }, [{ do: "open", transport: "webrtc", attempt }]);
}

function onTrial(state: State, trial: Trial, event: TransportEvent, clock: Clock): Step {
  switch (event.type) {
    case "progress": {
      const paintBy = clock.now + LIMIT_AFTER_MS[event.sign];
      return then({ ...state, climb: { ...state.climb, trial: { ...trial, paintBy } } });
    }
    case "painted": {
      const phase: OpenPhase = { name: "webrtc", attempt: trial.attempt, painted: true, paintBy: null, lostAt: null };
      const replaced = closing({ ...state, climb: NO_CLIMB });
      return then({ ...state, phase, why: null, failures: 0, climb: NO_CLIMB }, [...replaced, marked(state, "webrtc", clock)]);
    }
    case "connection":
      if (event.state !== "failed" && event.state !== "closed") return then(state);
      return giveUp(state, trial, { kind: "unconnected" }, clock);
    case "closed":
      return giveUp(state, trial, event.why, clock);
  }
}

function giveUp(state: State, trial: Trial, why: Why, clock: Clock): Step {
  const failed: State = { ...state, why, climb: { ...state.climb, failures: state.climb.failures + 1 } };
  return then({ ...failed, climb: nextClimb(failed, clock) }, [{ do: "close", attempt: trial.attempt }]);
}

function onConnection(state: State, phase: OpenPhase, connection: RTCPeerConnectionState, clock: Clock): Step {
  switch (connection) {
    case "closed":
      return fail(state, phase, { kind: "closed", detail: "" }, clock);
    case "failed":
      // Before there was a connection there is nothing to wait for.
      if (!phase.painted) return fail(state, phase, { kind: "unconnected" }, clock);
      return then({ ...state, phase: { ...phase, lostAt: phase.lostAt ?? clock.now + LOST_LIMIT_MS } });
    case "disconnected":
      return then({ ...state, phase: { ...phase, lostAt: phase.lostAt ?? clock.now + LOST_LIMIT_MS } });
    case "new":
    case "connecting":
      return then(state);
    case "connected":
      return then({ ...state, phase: { ...phase, lostAt: null } });
  }
}

/** WebRTC makes way for noVNC; noVNC tries again after a pause, and asks whether the session is still there. */
function fail(state: State, phase: OpenPhase, why: Why, clock: Clock): Step {
  if (phase.name === "webrtc") {
    if (why.kind === "refused" && isRefusal(why.problem) && why.problem.status !== 404) {
      return then({ ...state, phase: { name: "blocked", problem: why.problem } }, closing(state));
    }
    return open({ ...state, why }, "novnc", clock);
  }
  const pause = Math.min(RETRY_FIRST_MS * 2 ** Math.min(state.failures, 10), RETRY_MAX_MS);
  const retry: Phase = { name: "retry", retryAt: clock.now + jittered(pause, clock) };
  const watch = { ...state.watch, retryAt: null };
  const climb = { ...state.climb, retryAt: null, trial: null };
  return then({ ...state, phase: retry, failures: state.failures + 1, watch, climb }, [
    ...closing(state),
    { do: "watch", stream: true },
  ]);
}
