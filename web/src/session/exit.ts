/** The desktop's way to the internet, in words. Pure. */
import type { EgressInfo } from "../api/types";
import { maybe, t } from "../words/words";
import { sentences } from "./why";

/** What stands in a list: "Internet: SOCKS5 proxy, works, as 203.0.113.9". */
export interface ExitLine {
  readonly text: string;
  /** A person should look at it. */
  readonly bad: boolean;
}

/** Null when the gateway does not say. */
export function exitLine(egress: EgressInfo | null): ExitLine | null {
  if (egress === null) return null;
  if (egress.type === "none") return { text: t("exit.none"), bad: false };
  const way = egress.type === "direct" ? t("exit.direct") : t("exit.proxy", { type: egress.type.toUpperCase() });
  const health = healthOf(egress);
  const parts = [way];
  // Without a machine there is nothing to tell of it.
  if (health !== "off") parts.push(healthWord(health));
  if (health === "failing" && egress.error !== null) parts.push(egress.error.message);
  if (health === "ok" && egress.address !== "") parts.push(t("exit.as", { address: egress.address }));
  return { text: t("exit.line", { exit: parts.join(", ") }), bad: isBad(health) };
}

/** The same in a word or two; null when the gateway does not say. */
export function exitWord(egress: EgressInfo | null): string | null {
  if (egress === null) return null;
  return egress.type === "none" ? t("exit.is.none") : healthWord(healthOf(egress));
}

/** What is wrong with it, for who watches the desktop; empty when nothing is. */
export function exitTrouble(egress: EgressInfo | null): string {
  if (egress === null || egress.type === "none") return "";
  if (egress.leaks) return t("exit.trouble.leak");
  if (egress.state !== "failing") return "";
  return sentences(t("exit.trouble"), egress.error?.message ?? "", egress.error?.hint ?? "");
}

/** Of an exit, as the gateway names it. */
export function healthWord(health: string): string {
  return maybe(`exit.is.${health}`) ?? health;
}

export function isBad(health: string): boolean {
  return health === "failing" || health === "leak";
}

function healthOf(egress: EgressInfo): string {
  return egress.leaks ? "leak" : egress.state;
}
