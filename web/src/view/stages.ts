/** A session's stages in words. Pure. */
import type { SessionInfo, SessionState } from "../api/types";
import { decimal, maybe, t } from "../words/words";

export interface Stage {
  readonly label: string;
  /** Since the session was asked for, in s; null while it is under way. */
  readonly seconds: number | null;
}

export function stateLabel(state: SessionState): string {
  return t(`state.${state}`);
}

export function stageLabel(stage: string): string {
  const known = maybe(`stage.${stage}`);
  if (known !== null) return known;
  const words = stage.replaceAll(/[_-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Stages reached, in order, and the one under way if there is one. */
export function stagesOf(info: SessionInfo): Stage[] {
  const stages: Stage[] = info.timings.map(([stage, seconds]) => ({ label: stageLabel(stage), seconds }));
  // States that nothing passes through have none.
  const now = maybe(`now.${info.state}`);
  if (now !== null) stages.push({ label: now, seconds: null });
  return stages;
}

/** Never broken between number and unit. */
const NBSP = "\u00a0";

export function seconds(value: number): string {
  return `${decimal(value, value < 10 ? 2 : 1)}${NBSP}s`;
}

/** "14:32" or "2:32 PM", as the browser's language has it, of Unix time in ms. */
export function timeOfDay(time: number): string {
  return new Date(time).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
}

/** "4 min", "2 h", for ages in ms. */
export function age(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  if (total < 60) return `${total}${NBSP}s`;
  if (total < 3600) return `${Math.floor(total / 60)}${NBSP}min`;
  if (total < 86_400) return `${Math.floor(total / 3600)}${NBSP}h ${Math.floor((total % 3600) / 60)}${NBSP}min`;
  return `${Math.floor(total / 86_400)}${NBSP}${t("unit.day")}`;
}
