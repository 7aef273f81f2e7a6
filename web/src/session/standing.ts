/** Where this page stands among those who watch: whether its input counts, who else's does, what it can do. Pure. */
import type { Wish } from "../api/control";
import type { ControlInfo, Role } from "../api/types";
import type { State } from "./state";
import { t } from "../words/words";

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
    return viewer === undefined ? t("control.viewer.unknown") : t("control.viewer", { number: viewer.number });
  };
  if (who === "me") {
    const asking = info?.requests.find((name) => name !== me) ?? null;
    return {
      who,
      text: others.length === 0 ? "" : t("control.me"),
      // With nobody to take it, giving control up would only leave the desktop without anybody.
      deed: others.some((viewer) => viewer.role === "control") ? { wish: "release", label: t("control.release") } : null,
      ask: asking === null ? null : { name: asking, text: t("control.wanted", { viewer: label(asking) }) },
    };
  }
  const asked = info?.requests.includes(me) === true;
  const controller = info?.controller ?? null;
  const rules = controller === null || controller === me ? t("control.nobody") : t("control.other", { viewer: label(controller) });
  const ask = controller === null ? t("control.take") : t("control.ask");
  return {
    who,
    text: who === "unknown" ? "" : asked ? t("control.asked", { rules }) : rules,
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

/**
 * The attempt by which this page's input counts, for the one in front.
 *
 * @param live what each open attempt said last of it.
 */
export function speakerOf(front: number, { trials }: Pick<State, "trials">, live: ReadonlyMap<number, boolean>): number {
  if (live.get(front) !== false) return front;
  return trials.find(({ attempt }) => live.get(attempt) === true)?.attempt ?? front;
}
