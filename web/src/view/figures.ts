/** Figures of a WebRTC connection, out of what the browser counts (webrtc-stats) and what the agent says of frames. Pure. */
import { count } from "../api/types";
import type { FrameTimes } from "../protocol/messages.gen";

/** Counts since the connection began, of one look at the browser's statistics. */
export interface Counts {
  readonly atMs: number;
  readonly bytes: number;
  readonly packets: number;
  readonly lost: number;
  readonly decoded: number;
  readonly dropped: number;
  readonly decodeS: number;
  readonly jitterS: number;
  readonly width: number;
  readonly height: number;
  /** "H264", "VP8". */
  readonly codec: string;
}

/** What the last second was like. */
export interface Sample {
  readonly fps: number;
  readonly bps: number;
  /** Lost packets, and frames that were decoded and not shown, in 0..1 of all. */
  readonly loss: number;
  readonly dropped: number;
  /** Decoding one frame; null when none was. */
  readonly decodeMs: number | null;
  readonly jitterMs: number;
  readonly size: string;
}

/** The mean frame in the guest, in ms. */
export interface GuestTimes {
  /** From a change on the display to the grab of it. */
  readonly waitMs: number;
  readonly encodeMs: number;
  readonly sendMs: number;
}

type Entry = Readonly<Record<string, unknown>>;

/** Null when nothing of a video has come yet. */
export function countsOf(report: Iterable<Entry>, atMs: number): Counts | null {
  const entries = [...report];
  const video = entries.find((entry) => entry["type"] === "inbound-rtp" && entry["kind"] === "video");
  if (video === undefined) return null;
  const mime = entries.find((entry) => entry["id"] === video["codecId"])?.["mimeType"];
  return {
    atMs,
    bytes: count(video["bytesReceived"]),
    packets: count(video["packetsReceived"]),
    lost: count(video["packetsLost"]),
    decoded: count(video["framesDecoded"]),
    dropped: count(video["framesDropped"]),
    decodeS: count(video["totalDecodeTime"]),
    jitterS: count(video["jitter"]),
    width: count(video["frameWidth"]),
    height: count(video["frameHeight"]),
    codec: typeof mime === "string" ? (mime.split("/")[1] ?? "") : "",
  };
}

/** Null when `now` is of another connection than `before`, or of the same moment. */
export function sampleOf(before: Counts, now: Counts): Sample | null {
  const seconds = (now.atMs - before.atMs) / 1000;
  if (seconds <= 0 || now.bytes < before.bytes || now.decoded < before.decoded) return null;
  const decoded = now.decoded - before.decoded;
  const packets = now.packets - before.packets;
  const lost = Math.max(0, now.lost - before.lost);
  const dropped = Math.max(0, now.dropped - before.dropped);
  return {
    fps: Math.round(decoded / seconds),
    bps: ((now.bytes - before.bytes) * 8) / seconds,
    loss: lost === 0 ? 0 : lost / (packets + lost),
    dropped: dropped === 0 ? 0 : dropped / (decoded + dropped),
    decodeMs: decoded === 0 ? null : ((now.decodeS - before.decodeS) * 1000) / decoded,
    jitterMs: now.jitterS * 1000,
    size: now.width === 0 ? "" : `${now.width} × ${now.height}${now.codec === "" ? "" : ` ${now.codec}`}`,
  };
}

/** Means over the frames; null without any. All instants are the agent's own, so no clocks need to be joined. */
export function guestTimesOf(frames: readonly FrameTimes[]): GuestTimes | null {
  if (frames.length === 0) return null;
  const mean = (from: keyof FrameTimes & ("damaged" | "captured" | "encoded"), to: keyof FrameTimes & ("captured" | "encoded" | "sent")): number =>
    frames.reduce((sum, frame) => sum + between(frame[from], frame[to]), 0) / frames.length / 1000;
  return { waitMs: mean("damaged", "captured"), encodeMs: mean("captured", "encoded"), sendMs: mean("encoded", "sent") };
}

/** Us from one instant to another of a clock of 32 bits; 0 for one that was before. */
function between(from: number, to: number): number {
  return Math.max(0, (to - from) | 0);
}
