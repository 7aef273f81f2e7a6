/** A session's stages in words. Pure. */
import type { SessionInfo, SessionState } from "../api/types";

export interface Stage {
  readonly label: string;
  /** Since the session was asked for, in s; null while it is under way. */
  readonly seconds: number | null;
}

const LABELS = new Map<string, string>([
  ["disk", "Disk copied"],
  ["network", "Network made"],
  ["spawn", "Machine started"],
  ["restore", "Snapshot restored"],
  ["resume", "Machine resumed"],
  ["hello", "Linux booted"],
  ["identify", "Identity given"],
  ["assign", "Session assigned"],
  ["agent", "Streaming agent up"],
  ["vnc", "VNC server up"],
  ["ready", "Desktop ready"],
  ["first_offer", "Viewer came"],
  ["connected", "Viewer connected"],
  ["painted", "First picture painted"],
  ["complete", "Terminal and browser on screen"],
]);

const NOW: Readonly<Record<SessionState, string | null>> = {
  creating: "Preparing the machine",
  booting: "Booting Linux",
  restoring: "Restoring a snapshot",
  assigning: "Starting the desktop",
  ready: null,
  suspending: "Suspending",
  suspended: null,
  resuming: "Resuming",
  stopping: "Shutting down",
  stopped: null,
  failed: null,
};

export const STATE_LABELS: Readonly<Record<SessionState, string>> = {
  creating: "Creating",
  booting: "Booting",
  restoring: "Restoring",
  assigning: "Starting",
  ready: "Ready",
  suspending: "Suspending",
  suspended: "Suspended",
  resuming: "Resuming",
  stopping: "Stopping",
  stopped: "Stopped",
  failed: "Failed",
};

export function stageLabel(stage: string): string {
  const known = LABELS.get(stage);
  if (known !== undefined) return known;
  const words = stage.replaceAll(/[_-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Stages reached, in order, and the one under way if there is one. */
export function stagesOf(info: SessionInfo): Stage[] {
  const stages: Stage[] = info.timings.map(([stage, seconds]) => ({ label: stageLabel(stage), seconds }));
  const now = NOW[info.state];
  if (now !== null) stages.push({ label: now, seconds: null });
  return stages;
}

/** Never broken between number and unit. */
const NBSP = "\u00a0";

export function seconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)}${NBSP}s`;
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
  return `${Math.floor(total / 86_400)}${NBSP}d`;
}
