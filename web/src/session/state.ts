/** What the machine knows, hears and wants done. Pure. */
import type { Problem, SessionInfo } from "../api/types";
import { NO_CLIMB } from "./climb";
import type { Climb } from "./climb";
import { staleAt } from "./gap";
import type { Gap } from "./gap";
import type { Attempt, Path, Stage, Transport, Way } from "./rungs";
import { WANTED } from "./wake";
import type { Wake } from "./wake";
import { NEW_WATCH } from "./watching";
import type { Watch } from "./watching";
import type { Why } from "./why";

export type Phase =
  | { readonly name: "waiting" }
  /** The attempt in front: the one that is shown, or waited for. */
  | Attempt
  | { readonly name: "retry"; readonly retryAt: number }
  | { readonly name: "blocked"; readonly problem: Problem };

export interface State {
  /** When the page was opened, in the clock's ms. */
  readonly openedAt: number;
  readonly session: SessionInfo | null;
  readonly watch: Watch;
  readonly wake: Wake;
  readonly visible: boolean;
  /** Taken off until the next start: what is still on its way opens nothing. */
  readonly left: boolean;
  readonly phase: Phase;
  /** Open behind the one in front, none of them painted: at most one WebRTC and one noVNC. */
  readonly trials: readonly Attempt[];
  /** When noVNC is opened beside a WebRTC that has not painted, in the clock's ms. */
  readonly hedgeAt: number | null;
  /** Set while nothing comes from the picture in front. */
  readonly gap: Gap | null;
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
  /** The stream of states, or the one answer, ended; `problem` is null when it just closed. */
  | { readonly type: "watch-ended"; readonly problem: Problem | null }
  | AttemptEvent
  | { readonly type: "visible"; readonly visible: boolean }
  /** The network may be another, or the machine has slept. */
  | { readonly type: "network" }
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

/** What an open attempt says. */
export type AttemptEvent =
  | { readonly type: "painted"; readonly attempt: number }
  | { readonly type: "progress"; readonly attempt: number; readonly sign: Exclude<Stage, "opened"> }
  | { readonly type: "path"; readonly attempt: number; readonly path: Path }
  /** Nothing has come for longer than it should; something comes again. */
  | { readonly type: "silent"; readonly attempt: number }
  | { readonly type: "heard"; readonly attempt: number }
  | { readonly type: "connection"; readonly attempt: number; readonly state: RTCPeerConnectionState }
  | { readonly type: "closed"; readonly attempt: number; readonly why: Why };

export type Effect =
  /** Follow the session's states, afresh: as a stream, or by asking once, for an answer at once when `urgent`. */
  | { readonly do: "watch"; readonly stream: boolean; readonly urgent?: boolean }
  | { readonly do: "unwatch" }
  | { readonly do: "resume" }
  | { readonly do: "open"; readonly way: Way; readonly attempt: number }
  /** Its picture is the one to see from now on. */
  | { readonly do: "show"; readonly attempt: number }
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
  left: false,
  phase: { name: "waiting" },
  trials: [],
  hedgeAt: null,
  gap: null,
  attempts: 0,
  failures: 0,
  why: null,
  climb: NO_CLIMB,
};

/** When the runner must send `timer`, in the clock's ms; null for never. */
export function deadline(state: State): number | null {
  const { phase, gap } = state;
  if (state.left) return null;
  const times = [state.watch.retryAt, state.climb.retryAt, state.hedgeAt, gap?.seekAt ?? null, staleAt(gap)];
  if (phase.name === "retry") times.push(phase.retryAt);
  for (const open of opened(state)) times.push(open.paintBy);
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}

export function isOpen(phase: Phase): phase is Attempt {
  return phase.name === "webrtc" || phase.name === "novnc";
}

/** All that is open, the one in front first. */
export function opened({ phase, trials }: State): readonly Attempt[] {
  return isOpen(phase) ? [phase, ...trials] : trials;
}

/** The transport of this phase, painted or not. */
export function transportOf(phase: Phase): Transport | null {
  return isOpen(phase) ? phase.name : null;
}

/** The path of this phase, once it is known. */
export function pathOf(phase: Phase): Path | null {
  return isOpen(phase) ? phase.path : null;
}

export function isPainted(phase: Phase): boolean {
  return isOpen(phase) && phase.painted;
}

export function became(state: State, effects: readonly Effect[] = []): Step {
  return { state, effects };
}

/** `step`, and from the state that it leads to another. */
export function and(step: Step, more: (state: State) => Step): Step {
  const next = more(step.state);
  return { state: next.state, effects: [...step.effects, ...next.effects] };
}

export function closing(attempts: readonly Attempt[]): Effect[] {
  return attempts.map(({ attempt }) => ({ do: "close", attempt }));
}

/** Nothing open and nothing sought, in `phase`. */
export function quiet(state: State, phase: Phase): Step {
  return became({ ...state, phase, trials: [], hedgeAt: null, gap: null, climb: NO_CLIMB }, closing(opened(state)));
}
