/**
 * What a page and the desktop in its frame say to each other, by window.postMessage. Pure.
 *
 * Every message is an object with `fenster: 1` (the protocol's version) and a `type`. The page begins with `hello`, as
 * often as it likes; the frame answers with `ready` and with all that there is to tell, and tells each change from then
 * on. A command carries an `id`, and is answered with a `reply` of that id. README.md describes each of them.
 */
export const PROTOCOL = 1;

export const MAX_TEXT_CHARS = 1 << 20;
export const MAX_PNG_BYTES = 8 << 20;
/** Chords and texts in one sendKeys. */
export const MAX_KEYS = 256;
const MAX_CHORD = 8;
const MAX_NAME_CHARS = 32;
const MAX_CREDENTIAL_CHARS = 8192;

export const SESSION_STATES = [
  "unknown", "creating", "booting", "restoring", "assigning", "ready", "suspending", "suspended", "resuming", "stopping",
  "stopped", "failed",
] as const;
export const TRANSPORTS = ["webrtc", "novnc", "none"] as const;
export const CONTROLLERS = ["me", "other", "nobody", "unknown"] as const;
export const ROLES = ["control", "view", "unknown"] as const;
/** `unauthorized`: the token has expired, or the ticket was used. `unreachable` is said by the client, not by the frame. */
export const CLOSED_REASONS = ["stopped", "failed", "unauthorized", "not-found", "disconnected", "unreachable"] as const;

export type SessionState = (typeof SESSION_STATES)[number];
export type Transport = (typeof TRANSPORTS)[number];
export type Controller = (typeof CONTROLLERS)[number];
export type Role = (typeof ROLES)[number];
export type ClosedReason = (typeof CLOSED_REASONS)[number];

/** What is copied and pasted. */
export type Content =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "png"; readonly png: ArrayBuffer };

/** Keys that are pressed together, by their KeyboardEvent.key names, or text as a person would type it. */
export type Keys = { readonly chord: readonly string[] } | { readonly text: string };

export type Credential = { readonly ticket: string } | { readonly token: string };

/** From the frame. */
export type DesktopEvent =
  | { readonly type: "ready"; readonly session: string }
  /** `notice`: what a person should know; empty when there is nothing. */
  | { readonly type: "state"; readonly state: SessionState; readonly notice: string }
  /** `painted`: a picture is shown. */
  | { readonly type: "transport"; readonly transport: Transport; readonly painted: boolean }
  /** Each second while there is a picture. Null for what this transport does not tell. `width`, `height`: of the picture, px. */
  | {
      readonly type: "stats";
      readonly fps: number | null;
      readonly rttMs: number | null;
      readonly width: number;
      readonly height: number;
    }
  /** The person, or a program, has copied this on the desktop. */
  | { readonly type: "clipboard"; readonly content: Content }
  /** Whose input counts, what this viewer may, and how many others ask for control. */
  | {
      readonly type: "control";
      readonly controller: Controller;
      readonly role: Role;
      readonly readOnly: boolean;
      readonly requests: number;
    }
  /** The session ends or is suspended at `deadline` (Unix time, ms); null when it does not after all. */
  | {
      readonly type: "closing";
      readonly deadline: number | null;
      readonly reason: "ttl" | "idle";
      readonly action: "suspend" | "stop";
    }
  /** Nothing more comes, unless `connect` is sent. `detail` is a sentence for people. */
  | { readonly type: "closed"; readonly reason: ClosedReason; readonly detail: string };

export interface ReplyError {
  /** Stable; for programs. */
  readonly kind: string;
  /** A sentence. */
  readonly message: string;
}

export interface Picture {
  readonly png: ArrayBuffer;
  /** px */
  readonly width: number;
  readonly height: number;
}

export type Reply =
  | { readonly type: "reply"; readonly id: number; readonly ok: true; readonly picture?: Picture }
  | { readonly type: "reply"; readonly id: number; readonly ok: false; readonly error: ReplyError };

/** To the frame. */
export type Command =
  | { readonly type: "connect"; readonly credential?: Credential }
  | { readonly type: "disconnect" }
  | { readonly type: "setReadOnly"; readonly readOnly: boolean }
  | { readonly type: "requestControl" }
  | { readonly type: "releaseControl" }
  /** The display's size in px. */
  | { readonly type: "resize"; readonly width: number; readonly height: number }
  | { readonly type: "paste"; readonly content: Content }
  | { readonly type: "sendKeys"; readonly keys: readonly Keys[] }
  | { readonly type: "screenshot" };

export type FromPage =
  | { readonly type: "hello" }
  | { readonly type: "command"; readonly id: number; readonly command: Command }
  /** A message of this protocol that is no command: answered, so that its author finds out. */
  | { readonly type: "malformed"; readonly id: number; readonly message: string };

type Json = Readonly<Record<string, unknown>>;

/** The message with the version, ready for postMessage. */
export function sealed<M extends object>(message: M): M & { readonly fenster: typeof PROTOCOL } {
  return { ...message, fenster: PROTOCOL };
}

/** What the page says; null for what is none of this protocol, or of another version. */
export function readFromPage(data: unknown): FromPage | null {
  if (!isRecord(data) || data["fenster"] !== PROTOCOL) return null;
  if (data["type"] === "hello") return { type: "hello" };
  const id = data["id"];
  if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0) return null;
  const command = readCommand(data);
  if (typeof command === "string") return { type: "malformed", id, message: command };
  return { type: "command", id, command };
}

/** A command, or what is wrong with it. */
function readCommand(data: Json): Command | string {
  switch (data["type"]) {
    case "disconnect":
    case "requestControl":
    case "releaseControl":
    case "screenshot":
      return { type: data["type"] };
    case "connect": {
      const given = data["credential"];
      if (given === undefined) return { type: "connect" };
      const credential = readCredential(given);
      return credential === null ? "connect takes a credential of a ticket or a token" : { type: "connect", credential };
    }
    case "setReadOnly": {
      const readOnly = data["readOnly"];
      return typeof readOnly === "boolean" ? { type: "setReadOnly", readOnly } : "setReadOnly takes a readOnly of true or false";
    }
    case "resize": {
      const { width, height } = data;
      return isSide(width, 320) && isSide(height, 240)
        ? { type: "resize", width, height }
        : "resize takes a width of 320 to 3840 px and a height of 240 to 3840 px";
    }
    case "paste": {
      const content = readContent(data["content"]);
      return content === null ? "paste takes a content of text up to 1 MiB, or of a PNG up to 8 MiB" : { type: "paste", content };
    }
    case "sendKeys": {
      const keys = readKeys(data["keys"]);
      return keys === null ? `sendKeys takes up to ${MAX_KEYS} keys, each a chord or a text` : { type: "sendKeys", keys };
    }
    default:
      return "there is no such command";
  }
}

/** What the frame says; null for what is none of this protocol, or of another version. */
export function readFromFrame(data: unknown): DesktopEvent | Reply | null {
  if (!isRecord(data) || data["fenster"] !== PROTOCOL) return null;
  switch (data["type"]) {
    case "ready":
      return isText(data["session"]) ? { type: "ready", session: data["session"] } : null;
    case "state": {
      const state = oneOf(SESSION_STATES, data["state"]);
      return state === null || !isText(data["notice"]) ? null : { type: "state", state, notice: data["notice"] };
    }
    case "transport": {
      const transport = oneOf(TRANSPORTS, data["transport"]);
      return transport === null || typeof data["painted"] !== "boolean"
        ? null
        : { type: "transport", transport, painted: data["painted"] };
    }
    case "stats": {
      const { fps, rttMs, width, height } = data;
      const known = isNumberOrNull(fps) && isNumberOrNull(rttMs) && isNumber(width) && isNumber(height);
      return known ? { type: "stats", fps, rttMs, width, height } : null;
    }
    case "clipboard": {
      const content = readContent(data["content"]);
      return content === null ? null : { type: "clipboard", content };
    }
    case "control":
      return readControl(data);
    case "closing": {
      const { deadline } = data;
      const [reason, action] = [oneOf(["ttl", "idle"], data["reason"]), oneOf(["suspend", "stop"], data["action"])];
      return isNumberOrNull(deadline) && reason !== null && action !== null ? { type: "closing", deadline, reason, action } : null;
    }
    case "closed": {
      const reason = oneOf(CLOSED_REASONS, data["reason"]);
      return reason === null || !isText(data["detail"]) ? null : { type: "closed", reason, detail: data["detail"] };
    }
    case "reply":
      return readReply(data);
    default:
      return null;
  }
}

function readControl(data: Json): DesktopEvent | null {
  const { readOnly, requests } = data;
  const [controller, role] = [oneOf(CONTROLLERS, data["controller"]), oneOf(ROLES, data["role"])];
  const known = controller !== null && role !== null && typeof readOnly === "boolean" && isNumber(requests);
  return known ? { type: "control", controller, role, readOnly, requests } : null;
}

function readReply(data: Json): Reply | null {
  const { id, ok, error, picture } = data;
  if (!isNumber(id)) return null;
  if (ok === true) {
    if (picture === undefined) return { type: "reply", id, ok };
    if (!isRecord(picture)) return null;
    const { png, width, height } = picture;
    return png instanceof ArrayBuffer && isNumber(width) && isNumber(height)
      ? { type: "reply", id, ok, picture: { png, width, height } }
      : null;
  }
  if (ok !== false || !isRecord(error) || !isText(error["kind"]) || !isText(error["message"])) return null;
  return { type: "reply", id, ok, error: { kind: error["kind"], message: error["message"] } };
}

function readContent(value: unknown): Content | null {
  if (!isRecord(value)) return null;
  const { kind, text, png } = value;
  if (kind === "text" && isText(text)) return { kind, text };
  if (kind === "png" && png instanceof ArrayBuffer && png.byteLength <= MAX_PNG_BYTES) return { kind, png };
  return null;
}

function readCredential(value: unknown): Credential | null {
  if (!isRecord(value)) return null;
  const { ticket, token } = value;
  const fits = (credential: unknown): credential is string =>
    typeof credential === "string" && credential.length > 0 && credential.length <= MAX_CREDENTIAL_CHARS;
  if (fits(ticket) && token === undefined) return { ticket };
  return fits(token) && ticket === undefined ? { token } : null;
}

function readKeys(value: unknown): Keys[] | null {
  if (!Array.isArray(value) || value.length > MAX_KEYS) return null;
  const keys = value.map(readKey).filter((key) => key !== null);
  return keys.length === value.length ? keys : null;
}

function readKey(value: unknown): Keys | null {
  if (!isRecord(value)) return null;
  const { chord, text } = value;
  if (chord === undefined) return isText(text) ? { text } : null;
  if (text !== undefined || !Array.isArray(chord) || chord.length === 0 || chord.length > MAX_CHORD) return null;
  const names = chord.filter((name) => typeof name === "string" && name.length > 0 && name.length <= MAX_NAME_CHARS);
  return names.length === chord.length ? { chord: names } : null;
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TEXT_CHARS;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isNumberOrNull(value: unknown): value is number | null {
  return value === null || isNumber(value);
}

function isSide(value: unknown, least: number): value is number {
  return isNumber(value) && Number.isInteger(value) && value >= least && value <= 3840;
}

function oneOf<T extends string>(known: readonly T[], value: unknown): T | null {
  return known.find((one) => one === value) ?? null;
}
