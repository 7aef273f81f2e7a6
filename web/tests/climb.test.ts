import { describe, expect, it } from "vitest";
import { CLIMB_FIRST_MS, NO_CLIMB } from "../src/session/climb";
import { ANSWER_LIMIT_MS, PAINT_LIMIT_MS, REACHED_LIMIT_MS } from "../src/session/machine";
import { Bench, info, onWebrtc } from "./bench";

describe("the way back to WebRTC", () => {
  /** noVNC's picture is there, because WebRTC brought none in time. */
  function below(): Bench {
    return onWebrtc().closed({ kind: "no-picture" }).painted();
  }

  it("is tried behind noVNC's picture, and taken once it has painted", () => {
    const bench = below();
    bench.random = 1;
    const left = bench.attempt;
    bench.now = bench.state.climb.retryAt ?? Number.NaN;
    expect(bench.send({ type: "timer" }).effects).toEqual([{ do: "open", transport: "webrtc", attempt: left + 1 }]);
    expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });

    bench.send({ type: "painted", attempt: left + 1 });
    expect(bench.state.phase).toMatchObject({ name: "webrtc", attempt: left + 1, painted: true });
    expect(bench.effects[0]).toEqual({ do: "close", attempt: left });
    expect(bench.state.why).toBeNull();
    expect(bench.state.climb).toEqual(NO_CLIMB);
  });

  it("pauses twice as long after each failure, and never gives up the picture", () => {
    const pauses: number[] = [];
    const bench = below();
    for (let trial = 0; trial < 6; trial += 1) {
      bench.random = 1;
      pauses.push((bench.state.climb.retryAt ?? Number.NaN) - bench.now);
      bench.now = bench.state.climb.retryAt ?? Number.NaN;
      bench.send({ type: "timer" });
      const attempt = bench.state.climb.trial?.attempt ?? Number.NaN;
      bench.send({ type: "connection", attempt, state: "failed" });
      expect(bench.effects).toEqual([{ do: "close", attempt }]);
      expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
    }
    // The first was scheduled with the dice at 0: half the pause.
    expect(pauses).toEqual([0.5, 2, 4, 8, 16, 24].map((factor) => factor * CLIMB_FIRST_MS));
  });

  it("gives a trial the same time as a first connection", () => {
    const bench = below();
    bench.now = bench.state.climb.retryAt ?? Number.NaN;
    bench.send({ type: "timer" });
    const attempt = bench.state.climb.trial?.attempt ?? Number.NaN;
    expect(bench.state.climb.trial?.paintBy).toBe(bench.now + ANSWER_LIMIT_MS);
    bench.send({ type: "progress", attempt, sign: "answered" });
    expect(bench.state.climb.trial?.paintBy).toBe(bench.now + PAINT_LIMIT_MS);
    bench.send({ type: "progress", attempt, sign: "reached" });
    expect(bench.state.climb.trial?.paintBy).toBe(bench.now + REACHED_LIMIT_MS);
    bench.now += REACHED_LIMIT_MS;
    expect(bench.send({ type: "timer" }).effects).toEqual([{ do: "close", attempt }]);
    expect(bench.state.why).toEqual({ kind: "no-picture" });
  });

  it("is closed when noVNC ends, and when the session does", () => {
    for (const event of [{ type: "closed", attempt: 2, why: { kind: "closed", detail: "" } }, { type: "session", info: info("stopped") }] as const) {
      const bench = below();
      bench.now = bench.state.climb.retryAt ?? Number.NaN;
      bench.send({ type: "timer" }, event);
      expect(bench.effects).toContainEqual({ do: "close", attempt: 3 });
      expect(bench.state.climb.trial).toBeNull();
      expect(bench.state.climb.retryAt).toBeNull();
    }
  });

  it("is not sought where it cannot be", () => {
    for (const why of [{ kind: "unsupported" }, { kind: "version" }] as const) {
      expect(onWebrtc().closed(why).painted().state.climb.retryAt).toBeNull();
    }
  });

  it("waits while the page is hidden", () => {
    const bench = below().send({ type: "visible", visible: false });
    bench.now = bench.state.climb.retryAt ?? Number.NaN;
    expect(bench.send({ type: "timer" }).effects).toEqual([]);
    expect(bench.state.climb.retryAt).toBeGreaterThan(bench.now);
  });
});
