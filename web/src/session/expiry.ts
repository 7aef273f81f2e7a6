/** What awaits a session that runs out of time or of use, in one sentence. Pure. */
import type { SessionInfo } from "../api/types";
import { timeOfDay } from "../view/stages";

/** Empty when the gateway gives no warning. */
export function expiryNote(info: SessionInfo): string {
  switch (info.warning) {
    case null:
      return "";
    case "ttl":
      return `This desktop ends ${at(info.endsAt)}.`;
    case "idle": {
      const what = info.idleAction === "suspend" ? "be suspended" : "end";
      return `Nobody has used this desktop for a while; it will ${what} ${at(info.idleAt)}.`;
    }
  }
}

function at(time: number | null): string {
  return time === null ? "soon" : `at ${timeOfDay(time)}`;
}
