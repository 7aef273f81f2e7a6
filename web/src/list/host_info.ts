/** What `GET /v1/host` means here. Pure. */
import { count, isRecord, text } from "../api/types";

export interface HostInfo {
  readonly accelerator: string;
  /** Why this accelerator. */
  readonly why: string;
  readonly isolated: boolean;
  readonly sessions: number;
  readonly maxSessions: number;
  readonly freeMemoryMib: number;
  readonly freeDiskMib: number;
  readonly parked: number;
  /** Of internet exits, each with a word on its health; null when the gateway does not say. */
  readonly egress: readonly (readonly [name: string, health: string])[] | null;
  /** Why no session can start here; empty when one can. */
  readonly problem: string;
  readonly hint: string;
}

export function parseHost(value: unknown): HostInfo | null {
  if (!isRecord(value)) return null;
  const problem = isRecord(value["problem"]) ? value["problem"] : {};
  return {
    accelerator: text(value["accelerator"]),
    why: text(value["why"]),
    isolated: value["isolated"] === true,
    sessions: count(value["sessions"]),
    maxSessions: count(value["max_sessions"]),
    freeMemoryMib: count(value["free_memory_mib"]),
    freeDiskMib: count(value["free_disk_mib"]),
    parked: count(value["parked"]),
    egress: parseEgress(value["egress"]),
    problem: text(problem["message"]),
    hint: text(problem["hint"]),
  };
}

function parseEgress(value: unknown): HostInfo["egress"] {
  if (!isRecord(value)) return null;
  return Object.entries(value).flatMap(([name, health]) =>
    typeof health === "string" || typeof health === "number" ? [[name, String(health)] as const] : [],
  );
}
