/**
 * The ladder as data: what can be opened, which path it turns out to take, and how long each may need. Pure.
 *
 * ICE itself is the quickest judge of UDP and TCP: offered both it takes UDP where that works, and TCP else. So the
 * first attempt offers both, and UDP alone is tried only to climb from TCP.
 */

export type Transport = "webrtc" | "novnc";
/** How the picture travels: WebRTC by UDP, WebRTC by ICE-TCP, noVNC by WebSocket. */
export type Path = "udp" | "tcp" | "ws";
/** What can be opened; `webrtc` leaves the choice between UDP and TCP to ICE. */
export type Way = "webrtc" | "webrtc-udp" | "novnc";
/** How far an attempt has come: asked for; answered (noVNC: the socket is open); ICE has a pair that works. */
export type Stage = "opened" | "answered" | "reached";

interface Rung {
  readonly transport: Transport;
  /** The best that can come of it. */
  readonly best: Path;
  /** Given up without a picture this long after each stage, in ms. */
  readonly paintMs: Readonly<Record<Stage, number>>;
}

/**
 * The answer may take long: a guest that is still booting under emulation is slow. Once a guest was reached, packets
 * pass, and its handshake and first picture may take their time. noVNC is the last rung and is given longer.
 */
export const RUNGS: Readonly<Record<Way, Rung>> = {
  webrtc: { transport: "webrtc", best: "udp", paintMs: { opened: 15_000, answered: 5_000, reached: 15_000 } },
  "webrtc-udp": { transport: "webrtc", best: "udp", paintMs: { opened: 15_000, answered: 3_000, reached: 15_000 } },
  novnc: { transport: "novnc", best: "ws", paintMs: { opened: 8_000, answered: 15_000, reached: 15_000 } },
};

/** While a picture is wanted, noVNC is opened beside a WebRTC that has not painted this long after each stage, in ms. */
export const HEDGE_MS: Readonly<Record<Stage, number>> = { opened: 5_000, answered: 800, reached: 5_000 };

const LEVEL: Readonly<Record<Path, number>> = { ws: 0, tcp: 1, udp: 2 };
export const TOP = LEVEL.udp;

export interface Attempt {
  readonly name: Transport;
  readonly way: Way;
  readonly attempt: number;
  /** Null until ICE has chosen. */
  readonly path: Path | null;
  /** Of its first picture, in the clock's ms. */
  readonly paintedAt: number | null;
  readonly painted: boolean;
  /** Limit for the first picture; null once it came, and while the page is hidden (nothing is painted then). */
  readonly paintBy: number | null;
}

export function attemptOf(way: Way, attempt: number, visible: boolean, now: number): Attempt {
  const { transport, paintMs } = RUNGS[way];
  const path = transport === "novnc" ? "ws" : null;
  return { name: transport, way, attempt, path, paintedAt: null, painted: false, paintBy: visible ? now + paintMs.opened : null };
}

export function paintedAt(open: Attempt, now: number): Attempt {
  return { ...open, painted: true, paintedAt: now, paintBy: null };
}

/** With the limit of the stage that it has come to; a painted one has arrived, and a hidden page waits without limit. */
export function progressed(open: Attempt, stage: Stage, now: number): Attempt {
  return open.paintBy === null ? open : { ...open, paintBy: now + RUNGS[open.way].paintMs[stage] };
}

/** Height on the ladder; of a path that is not yet known, the best that it can be. */
export function level(open: Attempt): number {
  return LEVEL[open.path ?? RUNGS[open.way].best];
}

/** The way up from this one, or null at the top. */
export function wayUp(open: Attempt): Way | null {
  if (level(open) >= TOP) return null;
  return open.name === "novnc" ? "webrtc" : "webrtc-udp";
}
