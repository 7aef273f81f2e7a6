/** The overlay with the connection's figures, a live plot and why it is slow; lies over the picture and takes no pointer. */
import type { FrameTimes } from "../protocol/messages.gen";
import type { RtcTransport } from "../transport/rtc";
import { device } from "../api/storage";
import { decimal, t } from "../words/words";
import { byId, el } from "./dom";
import { countsOf, guestTimesOf, sampleOf } from "./figures";
import type { Counts, GuestTimes, Sample } from "./figures";
import { Plot } from "./plot";
import { whySlow } from "./slow";

const SLOT = "fenster.stats";
const KEPT = 60;
/** "Why is this slow" looks at so many of the last seconds. */
const RECENT = 5;
const MAX_FRAMES = 240;

export interface Now {
  readonly transport: "webrtc" | "novnc" | null;
  readonly why: string;
  readonly rttMs: number | null;
  /** See slow.ts. */
  readonly exit: string;
  /** The open WebRTC connection whose picture is shown. */
  readonly rtc: RtcTransport | null;
}

export class Stats {
  readonly #root = byId("stats", HTMLElement);
  readonly #plot = new Plot(240, 44, KEPT, t("stats.plot"));
  readonly #rtt = this.#plot.line("rtt", 40);
  readonly #fps = this.#plot.line("fps", 30);
  readonly #list = el("dl");
  readonly #why = el("p", { class: "why" }, t("stats.waiting"));
  readonly #samples: Sample[] = [];
  #frames: FrameTimes[] = [];
  #guest: GuestTimes | null = null;
  #before: Counts | null = null;
  #rtc: RtcTransport | null = null;

  constructor() {
    this.#root.append(this.#list, this.#plot.node, this.#why);
    this.#root.hidden = device.get(SLOT) !== "on";
  }

  get open(): boolean {
    return !this.#root.hidden;
  }

  set open(open: boolean) {
    this.#root.hidden = !open;
    device.set(SLOT, open ? "on" : "");
    this.#rtc?.wantTimes(open);
  }

  /** The agent's word on a frame. */
  times(message: FrameTimes): void {
    if (this.#frames.length < MAX_FRAMES) this.#frames.push(message);
  }

  /** Once a second. */
  async tick(now: Now): Promise<void> {
    if (now.rtc !== this.#rtc) this.#restart(now.rtc);
    if (!this.open) return;
    const counts = now.rtc === null ? null : countsOf((await now.rtc.stats()).values() as Iterable<Readonly<Record<string, unknown>>>, performance.now());
    // Another connection may have come meanwhile.
    if (now.rtc !== this.#rtc) return;
    const sample = counts === null || this.#before === null ? null : sampleOf(this.#before, counts);
    this.#before = counts;
    if (sample !== null) this.#samples.push(sample);
    if (this.#samples.length > RECENT) this.#samples.shift();
    // While nothing moves, no frame tells anything new.
    this.#guest = guestTimesOf(this.#frames) ?? this.#guest;
    this.#frames = [];
    this.#show(now, sample);
  }

  #restart(rtc: RtcTransport | null): void {
    this.#rtc = rtc;
    this.#before = this.#guest = null;
    this.#samples.length = this.#frames.length = 0;
    for (const series of [this.#rtt, this.#fps]) series.clear();
    if (this.open) rtc?.wantTimes(true);
  }

  #show(now: Now, sample: Sample | null): void {
    this.#rtt.push(now.rttMs);
    this.#fps.push(sample?.fps ?? null);
    this.#plot.node.toggleAttribute("hidden", now.rtc === null);
    this.#plot.draw();
    const guest = this.#guest;
    const rows: (readonly [string, string])[] = [];
    if (now.rttMs !== null) rows.push([t("stats.latency"), ms(now.rttMs)]);
    if (sample !== null) {
      rows.push(
        [t("stats.fps"), `${sample.fps} fps`],
        [t("stats.bitrate"), rate(sample.bps)],
        [t("stats.loss"), `${decimal(sample.loss * 100, 1)} %`],
        [t("stats.decode"), sample.decodeMs === null ? "–" : ms(sample.decodeMs, 1)],
      );
    }
    if (guest !== null) rows.push([t("stats.agent"), `${ms(guest.waitMs, 1)} + ${ms(guest.encodeMs, 1)} + ${ms(guest.sendMs, 1)}`]);
    if (sample !== null && sample.size !== "") rows.push([t("stats.picture"), sample.size]);
    this.#list.replaceChildren(...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    const why = whySlow({ transport: now.transport, why: now.why, exit: now.exit, rttMs: now.rttMs, samples: this.#samples, guest });
    this.#why.textContent = why === "" ? t("stats.waiting") : why;
  }
}

function ms(value: number, digits = 0): string {
  return `${decimal(value, digits)}\u00a0ms`;
}

function rate(bps: number): string {
  return bps >= 1e6 ? `${decimal(bps / 1e6, 1)}\u00a0Mb/s` : `${decimal(bps / 1e3, 0)}\u00a0kb/s`;
}
