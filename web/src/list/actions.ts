/** What can be done with a session from the list, by its state. Pure. */
import type { SessionState } from "../api/types";

export type ActionName = "open" | "share" | "suspend" | "fork" | "destroy";

/** Opening a suspended session wakes it: the viewer page does so by itself. */
const LIVE: readonly ActionName[] = ["open", "share", "destroy"];

const OFFERED: Readonly<Record<SessionState, readonly ActionName[]>> = {
  creating: LIVE,
  booting: LIVE,
  restoring: LIVE,
  assigning: LIVE,
  ready: ["open", "share", "suspend", "fork", "destroy"],
  suspending: LIVE,
  suspended: LIVE,
  resuming: LIVE,
  stopping: [],
  stopped: [],
  failed: ["destroy"],
};

export function isOffered(action: ActionName, state: SessionState): boolean {
  return OFFERED[state].includes(action);
}

/** Will it stay as it is until somebody does something? */
export function isSettled(state: SessionState): boolean {
  return ["ready", "suspended", "stopped", "failed"].includes(state);
}
