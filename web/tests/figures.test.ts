import { describe, expect, it } from "vitest";
import type { FrameTimes } from "../src/protocol/messages.gen";
import { countsOf, guestTimesOf, sampleOf } from "../src/view/figures";
import type { Counts, Sample } from "../src/view/figures";
import { pathOf, Series } from "../src/view/plot";
import { LIMITS, whySlow } from "../src/view/slow";
import type { Facts } from "../src/view/slow";

const COUNTS: Counts = {
  atMs: 0, bytes: 0, packets: 0, lost: 0, decoded: 0, dropped: 0, decodeS: 0, jitterS: 0, width: 1280, height: 720, codec: "H264",
};
const WELL: Sample = { fps: 30, bps: 2e6, loss: 0, dropped: 0, decodeMs: 3, jitterMs: 2, size: "" };

describe("figures", () => {
  it("are read from the browser's report", () => {
    const report = [
      { type: "codec", id: "c1", mimeType: "video/H264" },
      { type: "inbound-rtp", kind: "audio", bytesReceived: 7 },
      { type: "inbound-rtp", kind: "video", codecId: "c1", bytesReceived: 100, framesDecoded: 3, jitter: 0.004, frameWidth: 640 },
    ];
    expect(countsOf(report, 5)).toEqual({ ...COUNTS, atMs: 5, bytes: 100, decoded: 3, jitterS: 0.004, width: 640, height: 0 });
    expect(countsOf(report.slice(0, 2), 5)).toBeNull();
  });

  it("are those of the time between two looks", () => {
    const now = { ...COUNTS, atMs: 2000, bytes: 250_000, packets: 90, lost: 10, decoded: 60, dropped: 20, decodeS: 0.3, jitterS: 0.01 };
    expect(sampleOf(COUNTS, now)).toEqual({
      fps: 30, bps: 1e6, loss: 0.1, dropped: 0.25, decodeMs: 5, jitterMs: 10, size: "1280 × 720 H264",
    });
  });

  it("are none across connections, and say so of decoding when nothing came", () => {
    expect(sampleOf({ ...COUNTS, bytes: 10 }, { ...COUNTS, atMs: 1000 })).toBeNull();
    expect(sampleOf(COUNTS, COUNTS)).toBeNull();
    // A late packet is counted as lost no more.
    expect(sampleOf({ ...COUNTS, lost: 5 }, { ...COUNTS, atMs: 1000, lost: 4 })).toMatchObject({ decodeMs: null, loss: 0, dropped: 0, fps: 0 });
  });

  it("of the guest are means, over a clock that wraps", () => {
    const frame = (damaged: number, captured: number, encoded: number, sent: number): FrameTimes =>
      ({ type: "FrameTimes", rtp: 0, seq: 0, received: 0, injected: 0, damaged, captured, encoded, sent });
    const late = 2 ** 32 - 1000;
    expect(guestTimesOf([frame(0, 2000, 8000, 9000), frame(late, 3000, 7000, 8000)])).toEqual({ waitMs: 3, encodeMs: 5, sendMs: 1 });
    expect(guestTimesOf([])).toBeNull();
  });
});

describe("why it is slow", () => {
  const facts = (more: Partial<Facts> = {}, sample: Partial<Sample> = {}): Facts => ({
    transport: "webrtc", why: "", exit: "", rttMs: 20, samples: [{ ...WELL, ...sample }], guest: { waitMs: 2, encodeMs: 5, sendMs: 1 }, ...more,
  });

  it.each([
    ["all is well", facts(), "nothing here is slow"],
    ["nothing moves", facts({}, { fps: 0, decodeMs: null }), "nothing moves"],
    ["the network loses", facts({}, { loss: 0.05 }), "loses 5.0 %"],
    ["the network is far", facts({ rttMs: 250 }), "250 ms to the desktop"],
    ["the network wobbles", facts({}, { jitterMs: 60 }), "varies by 60 ms"],
    ["the link is thin", facts({ guest: { waitMs: 0, encodeMs: 0, sendMs: 90 } }), "wait 90 ms to be sent"],
    ["the decoder is slow", facts({}, { decodeMs: 33 }), "33 ms to decode"],
    ["the device drops", facts({}, { dropped: 0.5 }), "drops 50 %"],
    ["the encoder is slow", facts({ guest: { waitMs: 0, encodeMs: 60, sendMs: 0 } }), "60 ms to encode"],
    ["the host is busy", facts({ guest: { waitMs: 80, encodeMs: 0, sendMs: 0 } }), "80 ms pass"],
    ["noVNC", facts({ transport: "novnc", why: "UDP is blocked." }), "slower than video. UDP is blocked."],
    ["the exit is down", facts({ exit: "The exit is down." }), "The exit is down."],
    ["the exit is down and nothing is shown", facts({ transport: null, exit: "The exit is down." }), "The exit is down."],
    ["nothing is known", facts({ samples: [] }), ""],
    ["nothing is shown", facts({ transport: null }), ""],
  ])("%s", (_, given, said) => {
    if (said === "") expect(whySlow(given)).toBe("");
    else expect(whySlow(given)).toContain(said);
  });

  it("says the two worst, the worst first, over the last seconds", () => {
    const said = whySlow(facts({ rttMs: LIMITS.rttMs * 1.5 }, { loss: LIMITS.loss * 4, decodeMs: LIMITS.decodeMs * 2 }));
    expect(said).toMatch(/^The network loses .* This device needs 32 ms/);
    expect(said).not.toContain("to the desktop and back");
    expect(whySlow(facts({ rttMs: 250, exit: "The exit is down." }))).toMatch(/^The exit is down. The network is slow/);
    expect(whySlow(facts({ exit: "The exit is down." }))).not.toContain("All is well");
    expect(whySlow({ ...facts(), samples: [{ ...WELL, loss: 0.03 }, WELL, WELL, WELL] })).toContain("nothing here is slow");
  });
});

describe("the plot", () => {
  it("has the newest at the right, and breaks where nothing is known", () => {
    expect(pathOf([0, 10], 3, 100, 40, 10)).toBe("M50.0 40.0L100.0 0.0");
    expect(pathOf([5, null, 20], 3, 100, 40, 10)).toBe("M0.0 30.0M100.0 0.0");
    expect(pathOf([], 3, 100, 40, 10)).toBe("");
  });

  it("keeps the most recent", () => {
    const series = new Series(2);
    for (const value of [1, 2, 3]) series.push(value);
    expect(series.values).toEqual([2, 3]);
    series.clear();
    expect(series.values).toEqual([]);
  });
});
