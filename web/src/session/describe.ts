/** What the person is told, for every state of the machine. Pure. */
import type { Problem, SessionInfo } from "../api/types";
import { stagesOf } from "../view/stages";
import type { Stage } from "../view/stages";
import { expiryNote } from "./expiry";
import { isPainted, transportOf } from "./machine";
import type { State } from "./machine";
import { isUnderWay } from "./wake";
import { sentence, sentences, whyNotWebrtc } from "./why";

export type Action = { readonly label: string; readonly does: "again" | "wake" | "list" };

/** The panel over the picture; none while a picture is shown. */
export interface Panel {
  readonly tone: "busy" | "calm" | "bad";
  readonly title: string;
  readonly text: string;
  readonly stages: readonly Stage[];
  readonly action: Action | null;
}

const AGAIN: Action = { label: "Try again", does: "again" };
const WAKING = "Waking your desktop";
const LIST: Action = { label: "Go to your desktops", does: "list" };
/** While the person, or the page around this one, wants no picture. */
export const DISCONNECTED: Panel = panel("calm", "Disconnected", "The desktop goes on without you.", [], { label: "Connect", does: "again" });

export function panelOf(state: State): Panel | null {
  const { phase, session } = state;
  if (phase.name === "blocked") return blocked(phase.problem);
  if (session === null) return unknown(state);
  switch (session.state) {
    case "creating":
    case "booting":
    case "restoring":
    case "assigning":
      return panel("busy", "Starting your desktop", watchTrouble(state), hasBeenReady(session) ? [] : stagesOf(session), null);
    case "suspending":
      return panel("busy", "Your desktop is going to sleep", watchTrouble(state), [], null);
    case "suspended":
      return asleep(state, session);
    case "resuming":
      return panel("busy", WAKING, watchTrouble(state), [], null);
    case "stopping":
      return panel("calm", "The desktop is shutting down", "", [], null);
    case "stopped":
      return panel("calm", "This desktop has ended", "Nothing of it is left. A new one takes a moment.", [], LIST);
    case "failed": {
      const error = session.error;
      const text = error === null ? "The gateway gave no reason." : sentences(error.message, error.hint);
      return panel("bad", "The desktop failed", text, [], LIST);
    }
    case "ready":
      return isPainted(phase) ? null : connecting(state, stagesOf(session));
  }
}

/** One sentence for the status bar: what disturbs the transport or awaits the session; else why this transport. */
export function noteOf(state: State): string {
  const { phase, session } = state;
  if (isPainted(phase) && "lostAt" in phase && phase.lostAt !== null) return "The connection is interrupted; waiting for it to come back.";
  if (isPainted(phase) && state.watch.problem !== null) return watchTrouble(state);
  const expiry = session?.state === "ready" ? expiryNote(session) : "";
  if (expiry !== "") return expiry;
  if (session !== null && session.notice !== "") return session.notice;
  switch (transportOf(phase)) {
    case "webrtc":
      return isPainted(phase) ? "Direct video, the fastest way." : "Connecting by WebRTC.";
    case "novnc":
      return state.why === null ? "" : whyNotWebrtc(state.why);
    case null:
      return "";
  }
}

function panel(tone: Panel["tone"], title: string, text: string, stages: readonly Stage[], action: Action | null): Panel {
  return { tone, title, text, stages, action };
}

/** Woken or rebooted, then: its stages and their times are those of its first start. */
function hasBeenReady({ timings }: SessionInfo): boolean {
  return timings.some(([stage]) => stage === "ready");
}

function asleep(state: State, { error }: SessionInfo): Panel {
  const { wake } = state;
  if (isUnderWay(wake)) return panel("busy", WAKING, watchTrouble(state), [], null);
  if (wake.name === "refused") return unwoken(wake.problem.detail, wake.problem.hint);
  // The call was taken, and came to nothing.
  if (error !== null) return unwoken(error.message, error.hint);
  const text = sentences("Woken, it goes on where it was", watchTrouble(state));
  return panel("calm", "Your desktop sleeps", text, [], { label: "Wake it", does: "wake" });
}

function unwoken(what: string, hint: string): Panel {
  return panel("bad", "The desktop could not be woken", sentences(what, hint), [], { label: "Try again", does: "wake" });
}

function connecting(state: State, stages: readonly Stage[]): Panel {
  const { phase, why } = state;
  if (phase.name === "retry") {
    const problem = state.watch.problem;
    const what = problem === null ? "The noVNC connection closed" : problem.detail;
    const text = sentences(what, "Connecting again in a moment", problem?.hint ?? "");
    return panel("busy", "The picture is interrupted", text, [], AGAIN);
  }
  if (phase.name === "novnc") {
    const text = state.failures > 0 ? "Connecting again by noVNC." : why === null ? "" : `${whyNotWebrtc(why)} Using noVNC.`;
    return panel("busy", "Connecting the picture", text, [], null);
  }
  return panel("busy", "Connecting the picture", "", [...stages, { label: "Connecting by WebRTC", seconds: null }], null);
}

function unknown(state: State): Panel {
  const problem = state.watch.problem;
  if (problem === null) return panel("busy", "Asking for your desktop", "", [], null);
  return panel("bad", "The gateway is out of reach", sentences(watchTrouble(state), problem.hint), [], AGAIN);
}

function watchTrouble(state: State): string {
  const problem = state.watch.problem;
  if (problem === null) return "";
  return `${sentence(problem.detail)}${state.watch.retryAt === null ? "" : " Trying again."}`;
}

function blocked(problem: Problem): Panel {
  if (problem.status === 404) {
    return panel("bad", "There is no such desktop", "It may have ended, or the link is wrong.", [], LIST);
  }
  return panel("bad", "This link does not open the desktop", sentences(problem.detail, problem.hint), [], LIST);
}
