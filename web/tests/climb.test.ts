import { describe, expect, it } from "vitest";
import { CLIMB_FIRST_MS, CLIMB_MAX_MS, CLIMB_SOON_MS } from "../src/session/climb";
import { RUNGS } from "../src/session/rungs";
import { Bench, info, onWebrtc } from "./bench";

/** noVNC's picture is there, because WebRTC found no path. */
function below(): Bench {
  return onWebrtc().closed({ kind: "unconnected" }).painted();
}

/** The time has come for the next trial. */
function due(bench: Bench): Bench {
  bench.now = bench.state.climb.retryAt ?? Number.NaN;
  return bench.send({ type: "timer" });
}

describe("the way up from noVNC", () => {
  it("is tried behind the picture, and taken once it has painted", () => {
    const bench = due(below());
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc", attempt: 3 }]);
    expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
    bench.path("udp", 3).send({ type: "painted", attempt: 3 });
    expect(bench.state.phase).toMatchObject({ name: "webrtc", attempt: 3, painted: true });
    expect(bench.effects.slice(0, 2)).toEqual([{ do: "close", attempt: 2 }, { do: "show", attempt: 3 }]);
    expect(bench.state).toMatchObject({ why: null, trials: [], climb: { retryAt: null } });
  });

  it("pauses twice as long after each failure, and never gives up the picture", () => {
    const bench = onWebrtc().closed({ kind: "unconnected" });
    bench.random = 1;
    bench.painted();
    const pauses: number[] = [];
    for (let trial = 0; trial < 7; trial += 1) {
      pauses.push((bench.state.climb.retryAt ?? Number.NaN) - bench.now);
      due(bench);
      const attempt = bench.trial("webrtc");
      bench.send({ type: "connection", attempt, state: "failed" });
      expect(bench.effects).toEqual([{ do: "close", attempt }]);
      expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 20, 20].map((factor) => factor * CLIMB_FIRST_MS));
    expect(pauses.at(-1)).toBe(CLIMB_MAX_MS);
  });

  it("opens no second noVNC beside a trial, and gives it the limits of a first connection", () => {
    const bench = due(below());
    expect(bench.state.hedgeAt).toBeNull();
    bench.progress("answered", 3);
    expect(bench.state.trials[0]?.paintBy).toBe(bench.now + RUNGS.webrtc.paintMs.answered);
    expect(bench.state.hedgeAt).toBeNull();
    bench.pass(RUNGS.webrtc.paintMs.answered);
    expect(bench.effects).toEqual([{ do: "close", attempt: 3 }]);
    expect(bench.state.why).toEqual({ kind: "no-picture" });
  });

  it("ends with the session, and is what is left when noVNC ends", () => {
    const ended = due(below()).send({ type: "session", info: info("stopped") });
    expect(ended.effects).toEqual([{ do: "close", attempt: 2 }, { do: "close", attempt: 3 }, { do: "unwatch" }]);
    expect(ended.state).toMatchObject({ trials: [], climb: { retryAt: null } });
    const left = due(below()).closed();
    expect(left.effects).toEqual([{ do: "close", attempt: 2 }]);
    expect(left.state.phase).toMatchObject({ name: "webrtc", attempt: 3 });
  });

  it("is not sought where it cannot be", () => {
    for (const why of [{ kind: "unsupported" }, { kind: "version" }] as const) {
      const bench = onWebrtc().closed(why).painted();
      expect(bench.state.climb.retryAt).toBeNull();
      expect(bench.send({ type: "network" }).state.climb.retryAt).toBeNull();
    }
  });

  it("waits while the page is hidden", () => {
    const bench = due(below().send({ type: "visible", visible: false }));
    expect(bench.effects).toEqual([]);
    expect(bench.state.climb.retryAt).toBeGreaterThan(bench.now);
  });
});

describe("the way up from TCP", () => {
  function onTcp(): Bench {
    return onWebrtc().path("tcp").painted();
  }

  it("is UDP alone, behind the picture", () => {
    const bench = due(onTcp());
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc-udp", attempt: 2 }]);
    bench.path("udp", 2).send({ type: "painted", attempt: 2 });
    expect(bench.state.phase).toMatchObject({ attempt: 2, path: "udp" });
    expect(bench.effects.slice(0, 2)).toEqual([{ do: "close", attempt: 1 }, { do: "show", attempt: 2 }]);
    expect(bench.state.climb.retryAt).toBeNull();
  });

  it("is the same when the path is told after the picture", () => {
    expect(onWebrtc().painted().state.climb.retryAt).toBeNull();
    expect(onWebrtc().painted().path("tcp").state.climb.retryAt).not.toBeNull();
    expect(onWebrtc().painted().path("tcp").path("udp").state.climb.retryAt).toBeNull();
  });

  it("says nothing of a failure that changes nothing", () => {
    const bench = due(onTcp());
    bench.send({ type: "closed", attempt: 2, why: { kind: "unconnected" } });
    expect(bench.state.why).toBeNull();
    expect(bench.state.climb).toMatchObject({ failures: 1 });
  });

  it("is gone at once when the network is another, and when somebody asks", () => {
    const bench = onTcp();
    for (let failure = 0; failure < 4; failure += 1) due(bench).send({ type: "closed", attempt: bench.trial("webrtc"), why: { kind: "lost" } });
    expect(bench.send({ type: "network" }).state.climb).toEqual({ failures: 0, retryAt: bench.now + CLIMB_SOON_MS });
    expect(bench.send({ type: "again" }).trials).toEqual(["webrtc-udp"]);
    expect(bench.send({ type: "again" }).effects).toEqual([]);
  });

  it("drops a trial that turns out to be no better", () => {
    // noVNC is in front; the trial of both kinds climbs to TCP, and a later one is for UDP.
    const bench = due(below()).path("tcp", 3).send({ type: "painted", attempt: 3 });
    expect(bench.state.phase).toMatchObject({ attempt: 3, path: "tcp" });
    due(bench).path("tcp", 4);
    expect(bench.effects).toEqual([{ do: "close", attempt: 4 }]);
    expect(bench.state.climb).toMatchObject({ failures: 1 });
  });
});
