/** "Why is this slow?", answered in one or two sentences. Pure. */
import type { Key } from "../words/words";
import { decimal, t } from "../words/words";
import type { GuestTimes, Sample } from "./figures";

export interface Facts {
  readonly transport: "webrtc" | "novnc" | null;
  /** Why WebRTC is not in use; empty when it is. */
  readonly why: string;
  readonly rttMs: number | null;
  /** The last seconds, oldest first. */
  readonly samples: readonly Sample[];
  readonly guest: GuestTimes | null;
  /** What is wrong with the desktop's way to the internet (session/exit.ts); empty when nothing is. */
  readonly exit: string;
}

/** What is worse than these is felt. */
export const LIMITS = { loss: 0.02, rttMs: 120, jitterMs: 30, decodeMs: 16, dropped: 0.1, encodeMs: 25, waitMs: 40, sendMs: 40 } as const;
const MOST_SENTENCES = 2;

interface Reason {
  /** How many times its limit. */
  readonly weight: number;
  readonly text: string;
}

/** The worst first; before them the desktop's exit, which no figure of the picture tells of. Empty while nothing is known. */
export function whySlow(facts: Facts): string {
  return [facts.exit, pictureSlow(facts)].filter((text) => text !== "").join(" ");
}

function pictureSlow(facts: Facts): string {
  if (facts.transport === "novnc") return t("slow.novnc", { why: facts.why }).trim();
  if (facts.transport === null || facts.samples.length === 0) return "";
  const reasons = [...networkReasons(facts), ...deviceReasons(facts), ...guestReasons(facts)].sort((one, other) => other.weight - one.weight);
  if (reasons.length > 0) return reasons.slice(0, MOST_SENTENCES).map(({ text }) => text).join(" ");
  if (facts.exit !== "") return "";
  return t(mean(facts.samples, ({ fps }) => fps) < 2 ? "slow.idle" : "slow.none");
}

function networkReasons({ samples, rttMs, guest }: Facts): Reason[] {
  return [
    percent("slow.loss", mean(samples, ({ loss }) => loss), LIMITS.loss),
    ms("slow.rtt", rttMs, LIMITS.rttMs),
    ms("slow.jitter", mean(samples, ({ jitterMs }) => jitterMs), LIMITS.jitterMs),
    ms("slow.queue", guest?.sendMs ?? null, LIMITS.sendMs),
  ].filter((reason) => reason !== null);
}

function deviceReasons({ samples }: Facts): Reason[] {
  const timed = samples.filter((sample) => sample.decodeMs !== null);
  return [
    ms("slow.decoder", timed.length === 0 ? null : mean(timed, ({ decodeMs }) => decodeMs ?? 0), LIMITS.decodeMs),
    percent("slow.dropped", mean(samples, ({ dropped }) => dropped), LIMITS.dropped),
  ].filter((reason) => reason !== null);
}

function guestReasons({ guest }: Facts): Reason[] {
  return [
    ms("slow.encoder", guest?.encodeMs ?? null, LIMITS.encodeMs),
    ms("slow.host", guest?.waitMs ?? null, LIMITS.waitMs),
  ].filter((reason) => reason !== null);
}

type MsKey = Extract<Key, "slow.rtt" | "slow.jitter" | "slow.decoder" | "slow.encoder" | "slow.host" | "slow.queue">;

function ms(key: MsKey, value: number | null, limit: number): Reason | null {
  return value === null || value < limit ? null : { weight: value / limit, text: t(key, { ms: Math.round(value) }) };
}

function percent(key: "slow.loss" | "slow.dropped", share: number, limit: number): Reason | null {
  return share < limit ? null : { weight: share / limit, text: t(key, { percent: decimal(share * 100, share < 0.1 ? 1 : 0) }) };
}

function mean(samples: readonly Sample[], of: (sample: Sample) => number): number {
  return samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
}
