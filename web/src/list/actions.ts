/** What can be done with a session from the list, by its state. Pure. */
import type { SessionInfo, SessionState } from "../api/types";

/** In the order shown. */
export const ACTIONS = ["open", "resume", "suspend", "fork", "save", "extend", "unlimit", "shareView", "shareControl", "destroy"] as const;
export type ActionName = (typeof ACTIONS)[number];

/** Opening a suspended session wakes it: the viewer page does so by itself. */
const LIVE: readonly ActionName[] = ["open", "shareView", "shareControl", "destroy"];

const OFFERED: Readonly<Record<SessionState, readonly ActionName[]>> = {
  creating: LIVE,
  booting: LIVE,
  restoring: LIVE,
  assigning: LIVE,
  ready: [...LIVE, "suspend", "fork", "save", "extend", "unlimit"],
  suspending: LIVE,
  suspended: [...LIVE, "resume", "extend", "unlimit"],
  resuming: LIVE,
  stopping: [],
  stopped: [],
  failed: ["destroy"],
};

export function isOffered(action: ActionName, info: Pick<SessionInfo, "state" | "endsAt">): boolean {
  // What never ends cannot be given more time.
  if ((action === "extend" || action === "unlimit") && info.endsAt === null) return false;
  return OFFERED[info.state].includes(action);
}

/** Will it stay as it is until somebody does something? */
export function isSettled(state: SessionState): boolean {
  return ["ready", "suspended", "stopped", "failed"].includes(state);
}
