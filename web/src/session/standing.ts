/** Where this page stands among those who watch: whether its input counts, who else's does, what it can do. Pure. */
import type { Wish } from "../api/control";
import type { ControlInfo, Role } from "../api/types";

export interface Deed {
  readonly wish: Wish;
  readonly label: string;
}

/** Somebody asks this page for control. */
export interface Ask {
  readonly name: string;
  readonly text: string;
}

export interface Standing {
  readonly who: "me" | "other" | "nobody" | "unknown";
  /** One short sentence; empty when there is nothing to say. */
  readonly text: string;
  readonly deed: Deed | null;
  readonly ask: Ask | null;
}

/**
 * @param role what the token grants; null when it does not say.
 * @param me this page's name.
 * @param info the gateway's view; null when it has none (not yet heard, or an older gateway).
 * @param live what the open transport said last of this page's input; it is newer than `info`. Null: nothing yet.
 */
export function standingOf(role: Role | null, me: string, info: ControlInfo | null, live: boolean | null): Standing {
  const who = whoOf(role, me, info, live);
  const others = info?.viewers.filter((viewer) => viewer.name !== me) ?? [];
  const label = (name: string): string => {
    const viewer = others.find((one) => one.name === name);
    return viewer === undefined ? "Another viewer" : `Viewer ${viewer.number}`;
  };
  if (who === "me") {
    const asking = info?.requests.find((name) => name !== me) ?? null;
    return {
      who,
      text: others.length === 0 ? "" : "You control",
      // With nobody to take it, giving control up would only leave the desktop without anybody.
      deed: others.some((viewer) => viewer.role === "control") ? { wish: "release", label: "Give up control" } : null,
      ask: asking === null ? null : { name: asking, text: `${label(asking)} asks for control` },
    };
  }
  const asked = info?.requests.includes(me) === true;
  const controller = info?.controller ?? null;
  const rules = controller === null || controller === me ? "Nobody controls" : `${label(controller)} controls`;
  const ask = controller === null ? "Take control" : "Ask for control";
  return {
    who,
    text: who === "unknown" ? "" : asked ? `${rules}; you asked for control` : rules,
    deed: role === "view" || asked || who === "unknown" ? null : { wish: "request", label: ask },
    ask: null,
  };
}

function whoOf(role: Role | null, me: string, info: ControlInfo | null, live: boolean | null): Standing["who"] {
  if (role !== "view" && live === true) return "me";
  // A gateway that says nothing of control lets everybody with the role.
  if (info === null) return live === false ? "other" : role === "view" ? "unknown" : "me";
  if (role !== "view" && live === null && info.controller === me) return "me";
  return info.controller === null ? "nobody" : "other";
}
