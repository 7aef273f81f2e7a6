import { describe, expect, it } from "vitest";
import { CONSENT_MS, RETURN_GRACE_MS, STALE_MS } from "../src/session/gap";
import { STEADY_MS } from "../src/session/ladder";
import { deadline } from "../src/session/machine";
import { HEDGE_MS, RUNGS } from "../src/session/rungs";
import { onNovnc, onUdp, onWebrtc, problem } from "./bench";
import type { Bench } from "./bench";

function silent(bench: Bench): Bench {
  return bench.send({ type: "silent", attempt: bench.attempt });
}

function away(bench: Bench): Bench {
  return bench.send({ type: "watch-ended", problem: problem(0) });
}

describe("a first connection that finds no path", () => {
  it("gets noVNC beside it well within 3 s of the answer, and the first to paint is shown", () => {
    const bench = onWebrtc().progress("answered");
    expect(HEDGE_MS.answered).toBeLessThan(2_000);
    bench.expire();
    expect(bench.now).toBe(1000 + HEDGE_MS.answered);
    expect(bench.effects).toEqual([{ do: "open", way: "novnc", attempt: 2 }]);
    expect(bench.state.phase).toMatchObject({ name: "webrtc", painted: false });
    bench.send({ type: "painted", attempt: 2 });
    expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
    expect(bench.state.why).toEqual({ kind: "no-picture" });
    // WebRTC is not given up before its limit.
    expect(bench.trials).toEqual(["webrtc"]);
    bench.path("tcp", 1).send({ type: "painted", attempt: 1 });
    expect(bench.state.phase).toMatchObject({ name: "webrtc", painted: true });
    expect(bench.effects).toContainEqual({ do: "close", attempt: 2 });
  });

  it("closes noVNC when WebRTC paints first", () => {
    const bench = onWebrtc().progress("answered").expire().path("udp").painted();
    expect(bench.state.phase).toMatchObject({ name: "webrtc", painted: true });
    expect(bench.effects).toContainEqual({ do: "close", attempt: 2 });
    expect(bench.trials).toEqual([]);
  });

  it("goes on with noVNC alone when WebRTC fails, and with WebRTC alone when noVNC does", () => {
    const bench = onWebrtc().progress("answered").expire().connection("failed");
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }]);
    expect(bench.state.phase).toMatchObject({ name: "novnc", attempt: 2 });
    const other = onWebrtc().progress("answered").expire().send({ type: "closed", attempt: 2, why: { kind: "closed", detail: "" } });
    expect(other.effects).toEqual([{ do: "close", attempt: 2 }]);
    expect(other.state.phase).toMatchObject({ name: "webrtc", attempt: 1 });
    expect(other.state.hedgeAt).toBeNull();
  });

  it("gives a guest that was reached longer before noVNC is opened", () => {
    const bench = onWebrtc().progress("answered");
    bench.now += 100;
    expect(bench.progress("reached").state.hedgeAt).toBe(bench.now + HEDGE_MS.reached);
  });

  it("opens nothing beside it while the page is hidden", () => {
    const bench = onWebrtc().send({ type: "visible", visible: false });
    expect(bench.state.hedgeAt).toBeNull();
    expect(bench.progress("answered").state.hedgeAt).toBeNull();
  });
});

describe("a picture from which nothing comes", () => {
  it("asks the gateway, and with its answer tries other ways behind the frozen picture", () => {
    const bench = silent(onUdp());
    expect(bench.effects).toEqual([{ do: "watch", stream: false, urgent: true }]);
    bench.session("ready");
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc", attempt: 2 }]);
    expect(bench.state.phase).toMatchObject({ attempt: 1, painted: true });
    bench.progress("answered", 2).path("tcp", 2).send({ type: "painted", attempt: 2 });
    expect(bench.state.phase).toMatchObject({ attempt: 2, path: "tcp" });
    expect(bench.effects.slice(0, 2)).toEqual([{ do: "close", attempt: 1 }, { do: "show", attempt: 2 }]);
    expect(bench.state).toMatchObject({ gap: null, why: null });
    expect(bench.state.climb.retryAt).not.toBeNull();
  });

  it("opens noVNC too when WebRTC is not there soon, or has failed", () => {
    const late = silent(onUdp()).session("ready").progress("answered", 2);
    late.pass(HEDGE_MS.answered);
    expect(late.trials).toEqual(["webrtc", "novnc"]);
    late.send({ type: "painted", attempt: 3 });
    expect(late.state).toMatchObject({ phase: { name: "novnc", painted: true }, why: { kind: "lost" }, gap: null });
    expect(late.trials).toEqual(["webrtc"]);
    const failed = silent(onUdp()).session("ready").send({ type: "closed", attempt: 2, why: { kind: "refused", problem: problem(503) } });
    expect(failed.effects).toEqual([{ do: "close", attempt: 2 }, { do: "open", way: "novnc", attempt: 3 }]);
  });

  it("stays when it goes on, and drops what was tried", () => {
    const bench = silent(onUdp()).session("ready").send({ type: "heard", attempt: 1 });
    expect(bench.effects).toEqual([{ do: "close", attempt: 2 }]);
    expect(bench.state).toMatchObject({ gap: null, hedgeAt: null, trials: [], phase: { attempt: 1, painted: true } });
  });

  it("offers no other way while the gateway is away, and leaves the old one a moment when it is back", () => {
    const bench = away(silent(onUdp()));
    expect(bench.effects).toEqual([]);
    for (let ask = 0; ask < 5; ask += 1) {
      bench.now = bench.state.watch.retryAt ?? Number.NaN;
      expect(bench.send({ type: "timer" }).effects).toEqual([{ do: "watch", stream: false, urgent: true }]);
      away(bench);
    }
    expect((bench.state.watch.retryAt ?? 0) - bench.now).toBeLessThanOrEqual(1_500);
    bench.session("ready");
    expect(bench.effects).toEqual([]);
    expect(bench.state.gap?.seekAt).toBe(bench.now + RETURN_GRACE_MS);
    expect(bench.send({ type: "heard", attempt: 1 }).state.gap).toBeNull();
    const lost = away(silent(onUdp())).session("ready").pass(RETURN_GRACE_MS);
    expect(lost.trials).toEqual(["webrtc"]);
  });

  it("leaves no moment to a connection that has ended meanwhile", () => {
    const dead = away(silent(onUdp()).connection("failed")).session("ready");
    expect(dead.trials).toEqual(["webrtc"]);
    const old = away(silent(onUdp()));
    old.now += CONSENT_MS;
    expect(away(old).session("ready").trials).toEqual(["webrtc"]);
  });

  it("begins with ICE's failure too", () => {
    const bench = onUdp().connection("failed");
    expect(bench.state.gap).toMatchObject({ dead: true });
    expect(bench.session("ready").trials).toEqual(["webrtc"]);
  });

  it("tries again after a pause that grows when every way fails", () => {
    const bench = silent(onUdp()).session("ready");
    bench.random = 1;
    const pauses: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      for (const name of ["webrtc", "novnc"] as const) bench.send({ type: "closed", attempt: bench.trial(name), why: { kind: "unconnected" } });
      expect(bench.effects).toContainEqual({ do: "watch", stream: false, urgent: true });
      pauses.push((bench.state.gap?.seekAt ?? Number.NaN) - bench.now);
      bench.now = bench.state.gap?.seekAt ?? Number.NaN;
      bench.send({ type: "timer" });
      expect(bench.trials).toEqual(["webrtc"]);
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
    expect(bench.send({ type: "network" }).state.gap?.rounds).toBe(0);
  });

  it("is said over the picture once it has lasted", () => {
    const bench = away(silent(onUdp())).pass(STALE_MS - 1);
    expect(bench.state.gap?.stale).toBe(false);
    expect(bench.pass(1).state.gap?.stale).toBe(true);
  });

  it("waits while the page is hidden, and asks at once when it is seen", () => {
    const bench = silent(onUdp().send({ type: "visible", visible: false })).session("ready");
    expect(bench.trials).toEqual([]);
    bench.now += 90_000;
    expect(bench.send({ type: "visible", visible: true }).effects).toEqual([{ do: "watch", stream: false, urgent: true }]);
    expect(bench.session("ready").trials).toEqual(["webrtc"]);
  });

  it("is noVNC's too, with a socket of its own", () => {
    const bench = silent(onNovnc().painted()).session("ready");
    expect(bench.effects).toEqual([{ do: "open", way: "novnc", attempt: 3 }]);
    bench.send({ type: "painted", attempt: 3 });
    expect(bench.state.phase).toMatchObject({ name: "novnc", attempt: 3 });
  });

  it("ends a trial of a better rung, which was for a picture that is well", () => {
    const bench = onWebrtc().path("tcp").painted();
    bench.now = bench.state.climb.retryAt ?? Number.NaN;
    silent(bench.send({ type: "timer" }));
    expect(bench.effects).toEqual([{ do: "close", attempt: 2 }, { do: "watch", stream: false, urgent: true }]);
  });

  it("never has more than one WebRTC and one noVNC open behind it", () => {
    const bench = silent(onUdp()).session("ready").progress("answered", 2).pass(HEDGE_MS.answered);
    bench.session("ready").send({ type: "network" }, { type: "again" }, { type: "visible", visible: true }).session("ready");
    expect(bench.trials).toEqual(["webrtc", "novnc"]);
  });
});

describe("a path that flaps", () => {
  it("is climbed to more and more rarely", () => {
    const bench = onWebrtc().path("tcp").painted();
    bench.random = 1;
    const pauses: number[] = [];
    for (let fall = 0; fall < 4; fall += 1) {
      bench.now = bench.state.climb.retryAt ?? Number.NaN;
      bench.send({ type: "timer" });
      const up = bench.trial("webrtc");
      bench.path("udp", up).send({ type: "painted", attempt: up });
      bench.now += STEADY_MS - 1;
      silent(bench).session("ready");
      const down = bench.trial("webrtc");
      bench.path("tcp", down).send({ type: "painted", attempt: down });
      pauses.push((bench.state.climb.retryAt ?? Number.NaN) - bench.now);
    }
    expect(pauses.every((pause, at) => at === 0 || pause === 2 * (pauses[at - 1] ?? 0))).toBe(true);
  });

  it("is forgiven once it has stood", () => {
    const bench = silent(onUdp()).session("ready").path("tcp", 2).send({ type: "painted", attempt: 2 });
    expect(bench.state.climb.failures).toBe(0);
  });
});

describe("an agent that ends the connection", () => {
  it("is offered WebRTC again, since the next agent is there in a moment", () => {
    const bench = onUdp().connection("closed");
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }, { do: "open", way: "webrtc", attempt: 2 }]);
    expect(bench.state.phase).toMatchObject({ painted: false });
  });

  it("makes way for noVNC when it does so at once", () => {
    const bench = onWebrtc().painted().connection("closed");
    expect(bench.state.phase).toMatchObject({ name: "novnc" });
    expect(bench.state.climb.failures).toBe(1);
  });
});

describe("a network that is another", () => {
  it("lets noVNC try at once, and so does a gateway that answers again", () => {
    for (const event of [{ type: "network" }, null] as const) {
      const bench = away(onNovnc().painted().closed());
      expect(bench.state.phase).toMatchObject({ name: "retry" });
      if (event === null) bench.session("ready");
      else bench.send(event);
      expect(bench.effects).toContainEqual({ do: "open", way: "novnc", attempt: 3 });
    }
  });

  it("asks the gateway at once, but for a session that is over", () => {
    expect(onUdp().send({ type: "network" }).effects).toEqual([{ do: "watch", stream: false }]);
    expect(onUdp().session("stopped").send({ type: "network" }).effects).toEqual([]);
  });
});

it("the time to the next rung after UDP ends is bounded by what is known here", () => {
  // The silence that is noticed (rtc.ts), and the patience with TCP.
  expect(1_200 + HEDGE_MS.answered).toBeLessThan(3_000);
  expect(RUNGS.webrtc.paintMs.answered).toBeGreaterThan(HEDGE_MS.answered);
  expect(deadline(onUdp().state)).toBeNull();
});
