/** What the gateway's JSON means here. Pure: parsers of unknown values, strict where the client depends on it. */

export const STATES = [
  "creating",
  "booting",
  "restoring",
  "assigning",
  "ready",
  "suspending",
  "suspended",
  "resuming",
  "stopping",
  "stopped",
  "failed",
] as const;
export type SessionState = (typeof STATES)[number];
/** What comes of nobody using the session. */
export type IdleAction = "suspend" | "stop";
/** Which limit the session nears. */
export type Warning = "ttl" | "idle";
export type Role = "control" | "view";
export const CLIPBOARD_POLICIES = ["off", "to_guest", "to_viewer", "both"] as const;
export const FILES_POLICIES = ["off", "upload", "download", "both"] as const;

export interface SessionError {
  readonly kind: string;
  readonly message: string;
  readonly hint: string;
}

export interface ViewerInfo {
  readonly name: string;
  /** For people: 1 and up. */
  readonly number: number;
  readonly role: Role;
}

/** Who may do what on the desktop. */
export interface ControlInfo {
  /** Name of the viewer whose input counts; null for nobody. */
  readonly controller: string | null;
  /** Names of those who ask for control, first asked first. */
  readonly requests: readonly string[];
  readonly viewers: readonly ViewerInfo[];
}

/** The session's way to the internet. */
export interface EgressInfo {
  /** `none`: it has no way out. */
  readonly type: string;
  /** `off`, `unknown`, `ok` or `failing`; a newer gateway may know others. */
  readonly state: string;
  /** Why it fails. */
  readonly error: SessionError | null;
  /** That the internet sees, by the last check; empty until known. */
  readonly address: string;
  /** It leaves from the host's own address and should not. */
  readonly leaks: boolean;
}

export interface SessionInfo {
  readonly id: string;
  readonly state: SessionState;
  /** Unix time in ms; NaN when the gateway did not say. */
  readonly createdAt: number;
  /** Stage and its time since the session was asked for, in s, in the order they were reached. */
  readonly timings: readonly (readonly [stage: string, seconds: number])[];
  readonly error: SessionError | null;
  readonly viewers: number;
  /** Null when the gateway does not say. */
  readonly control: ControlInfo | null;
  readonly display: { readonly width: number; readonly height: number };
  readonly template: string;
  /** kvm or tcg; null until known. */
  readonly accelerator: string | null;
  /** When it ends, Unix time in ms; null for never. */
  readonly endsAt: number | null;
  /** When {@link idleAction} comes if nobody uses it, Unix time in ms; null for never. */
  readonly idleAt: number | null;
  readonly idleAction: IdleAction;
  readonly warning: Warning | null;
  /** What a person should know of it; empty when there is nothing. */
  readonly notice: string;
  /** Null when the gateway does not say. */
  readonly egress: EgressInfo | null;
  /** Which ways viewers may copy. */
  readonly clipboard: (typeof CLIPBOARD_POLICIES)[number];
  /** Which ways viewers may carry files. */
  readonly files: (typeof FILES_POLICIES)[number];
}

type Json = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function text(value: unknown, otherwise = ""): string {
  return typeof value === "string" ? value : otherwise;
}

/** 0 for what is no number. */
export function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/** A session, or null when `value` is none (no id, or a state that this page does not know). */
export function parseSession(value: unknown): SessionInfo | null {
  if (!isRecord(value) || typeof value["id"] !== "string") return null;
  const state = STATES.find((known) => known === value["state"]);
  if (state === undefined) return null;
  const { timings, display, accelerator, warning } = value;
  return {
    id: value["id"],
    state,
    createdAt: parseTime(value["created_at"]),
    timings: Object.entries(isRecord(timings) ? timings : {})
      .map(([stage, seconds]) => [stage, count(seconds)] as const)
      .sort((one, other) => one[1] - other[1]),
    error: parseError(value["error"]),
    viewers: count(value["viewers"]),
    control: parseControl(value["control"]),
    display: isRecord(display)
      ? { width: count(display["width"]), height: count(display["height"]) }
      : { width: 0, height: 0 },
    template: text(value["template"]),
    accelerator: typeof accelerator === "string" ? accelerator : null,
    endsAt: timeOrNull(value["ends_at"]),
    idleAt: timeOrNull(value["idle_at"]),
    idleAction: value["idle_action"] === "suspend" ? "suspend" : "stop",
    warning: warning === "ttl" || warning === "idle" ? warning : null,
    notice: text(value["notice"]),
    egress: parseEgress(value["egress"]),
    clipboard: CLIPBOARD_POLICIES.find((known) => known === value["clipboard"]) ?? "off",
    files: FILES_POLICIES.find((known) => known === value["files"]) ?? "off",
  };
}

function parseError(value: unknown): SessionError | null {
  if (!isRecord(value)) return null;
  return { kind: text(value["kind"], "internal"), message: text(value["message"]), hint: text(value["hint"]) };
}

function parseEgress(value: unknown): EgressInfo | null {
  if (!isRecord(value)) return null;
  const { type, state, error, address, verdict } = value;
  return { type: text(type), state: text(state), error: parseError(error), address: text(address), leaks: verdict === "leak" };
}

function parseControl(value: unknown): ControlInfo | null {
  if (!isRecord(value)) return null;
  const { controller, requests, viewers } = value;
  return {
    controller: typeof controller === "string" ? controller : null,
    requests: items(requests).filter((name) => typeof name === "string"),
    viewers: items(viewers)
      .filter(isRecord)
      .map((viewer) => ({
        name: text(viewer["name"]),
        number: count(viewer["number"]),
        role: viewer["role"] === "control" ? "control" : "view",
      })),
  };
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function parseTime(value: unknown): number {
  if (typeof value === "number") return value * 1000;
  return typeof value === "string" ? Date.parse(value) : Number.NaN;
}

function timeOrNull(value: unknown): number | null {
  const time = parseTime(value);
  return Number.isFinite(time) ? time : null;
}

/** A list of sessions: `{"sessions": [...]}`. Entries that are none are left out. */
export function parseSessions(value: unknown): SessionInfo[] {
  const items = isRecord(value) ? value["sessions"] : value;
  if (!Array.isArray(items)) return [];
  return items.map(parseSession).filter((info) => info !== null);
}

/** An RFC 9457 problem, or what stands for one when no answer came (status 0). */
export interface Problem {
  readonly status: number;
  readonly kind: string;
  readonly detail: string;
  readonly hint: string;
}

/** Problem of an answer's status and JSON body; the kind is the last part of `type`. */
export function parseProblem(status: number, body: unknown): Problem {
  const fields = isRecord(body) ? body : {};
  const type = text(fields["type"]);
  return {
    status,
    kind: type === "" || type === "about:blank" ? `http-${status}` : (type.split(/[/:#]/).pop() ?? type),
    detail: text(fields["detail"], text(fields["title"], `The gateway answered ${status}.`)),
    hint: text(fields["hint"]),
  };
}
