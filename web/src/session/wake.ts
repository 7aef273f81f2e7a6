/**
 * Waking a suspended session: by itself when the page opens onto one, and by a button when it fell asleep before
 * the person's eyes, who may not need it any more. Pure; part of the machine's state.
 *
 * ::
 *
 *   wanted ──suspended──> asked ──answer──> accepted ──still suspended──> idle
 *      └──any other state──> idle <──any other state──┘   asked ──problem──> refused
 *   idle, refused ──the person's wish──> asked
 */
import type { Problem, SessionState } from "../api/types";

export type Wake =
  /** The page was just opened: a desktop that sleeps is woken. */
  | { readonly name: "wanted" }
  | { readonly name: "idle" }
  /** The call is on its way. */
  | { readonly name: "asked" }
  /** The gateway took it, and is asked for the session afresh. */
  | { readonly name: "accepted" }
  | { readonly name: "refused"; readonly problem: Problem };

export const WANTED: Wake = { name: "wanted" };
const IDLE: Wake = { name: "idle" };
const ASKED: Wake = { name: "asked" };

/** After the session was heard to be in `state`. */
export function heard(wake: Wake, state: SessionState): Wake {
  switch (state) {
    case "suspending":
      return wake.name === "wanted" ? wake : IDLE;
    case "suspended":
      if (wake.name === "wanted") return ASKED;
      // Heard after the gateway's yes, it fell asleep again.
      return wake.name === "accepted" ? IDLE : wake;
    default:
      return IDLE;
  }
}

/** After the person's wish, while the session is suspended. */
export function wished(wake: Wake): Wake {
  return isUnderWay(wake) ? wake : ASKED;
}

/** After the gateway's answer; one that nobody waits for any more changes nothing. */
export function answered(wake: Wake, problem: Problem | null): Wake {
  if (wake.name !== "asked") return wake;
  return problem === null ? { name: "accepted" } : { name: "refused", problem };
}

export function isUnderWay(wake: Wake): boolean {
  return wake.name === "asked" || wake.name === "accepted";
}

/** Is the call to be made, between these two? */
export function isAsked(before: Wake, after: Wake): boolean {
  return after.name === "asked" && before.name !== "asked";
}
