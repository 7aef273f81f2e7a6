import { describe, expect, it } from "vitest";
import { deadline } from "../src/session/machine";
import { onWebrtc, problem, started } from "./bench";
import type { Bench } from "./bench";

const RESUME = { do: "resume" };
const YES = { type: "resume-answered", problem: null } as const;
const NO = { type: "resume-answered", problem: problem(503) } as const;

/** It fell asleep before the person's eyes. */
function fellAsleep(): Bench {
  return onWebrtc().painted().session("suspending").session("suspended");
}

describe("a page that opens onto a suspended session", () => {
  it("wakes it by itself, once", () => {
    const bench = started().session("suspended");
    expect(bench.effects).toEqual([RESUME]);
    expect(bench.state.phase).toEqual({ name: "waiting" });
    expect(bench.session("suspended").effects).toEqual([]);
  });

  it("does so too when it was still being suspended", () => {
    const bench = started().session("suspending");
    expect(bench.effects).toEqual([]);
    expect(bench.session("suspended").effects).toEqual([RESUME]);
  });

  it("does so when the gateway could not be heard at first", () => {
    const bench = started().send({ type: "watch-ended", problem: problem(0) }).session("suspended");
    expect(bench.effects).toEqual([RESUME]);
  });

  it("does so again when it comes back from the page cache", () => {
    const bench = fellAsleep().send({ type: "leave" }, { type: "start", openedAt: 5000 }).session("suspended");
    expect(bench.effects).toEqual([RESUME]);
  });

  it("connects by the normal path once it is ready", () => {
    const bench = started().session("suspended").send(YES).session("resuming");
    expect(bench.state.phase).toEqual({ name: "waiting" });
    expect(bench.session("ready").effects).toEqual([{ do: "open", way: "webrtc", attempt: 1 }]);
    expect(bench.painted().state.phase).toMatchObject({ name: "webrtc", painted: true });
  });
});

describe("a session that is suspended while it is watched", () => {
  it("closes the picture and waits for the person", () => {
    const bench = onWebrtc().painted().session("suspending");
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }]);
    expect(bench.session("suspended").effects).toEqual([]);
    expect(bench.state.wake.name).toBe("idle");
  });

  it("ends noVNC's retries", () => {
    const bench = onWebrtc().closed({ kind: "unsupported" }).painted().closed().session("suspended");
    expect(bench.effects).toEqual([]);
    expect(deadline(bench.state)).toBeNull();
  });

  it("is woken by the person, with one call", () => {
    const bench = fellAsleep().send({ type: "wake" });
    expect(bench.effects).toEqual([RESUME]);
    expect(bench.send({ type: "wake" }).effects).toEqual([]);
    expect(bench.session("resuming").session("ready").effects).toEqual([{ do: "open", way: "webrtc", attempt: 2 }]);
  });

  it("is not woken when it is awake already", () => {
    for (const state of ["suspending", "resuming", "ready", "stopping"] as const) {
      expect(fellAsleep().session(state).send({ type: "wake" }).effects).toEqual([]);
    }
  });

  it("waits for the person again when it falls asleep a second time", () => {
    const bench = fellAsleep().send({ type: "wake" }).session("resuming").session("ready").painted();
    expect(bench.session("suspending").session("suspended").effects).toEqual([]);
    expect(bench.send({ type: "wake" }).effects).toEqual([RESUME]);
  });
});

describe("the answer to the call", () => {
  it("accepted, asks for the session afresh", () => {
    const bench = started().session("suspended").send(YES);
    expect(bench.effects).toEqual([{ do: "watch", stream: true }]);
    expect(bench.state.wake.name).toBe("accepted");
    expect(bench.send(YES).effects).toEqual([]);
  });

  it("accepted, leaves the next try to the person when the session sleeps on", () => {
    const bench = started().session("suspended").send(YES).session("suspended");
    expect(bench.effects).toEqual([]);
    expect(bench.state.wake.name).toBe("idle");
  });

  it("refused, is kept until the person tries again", () => {
    const bench = started().session("suspended").send(NO);
    expect(bench.state.wake).toEqual({ name: "refused", problem: problem(503) });
    expect(bench.session("suspended").state.wake.name).toBe("refused");
    expect(bench.effects).toEqual([]);
    expect(bench.send({ type: "wake" }).effects).toEqual([RESUME]);
  });

  it("refused, is forgotten when somebody else wakes it", () => {
    expect(started().session("suspended").send(NO).session("resuming").state.wake.name).toBe("idle");
  });

  it.each([YES, NO])("changes nothing when it comes after the new state: %j", (answer) => {
    const bench = started().session("suspended").session("resuming").session("ready");
    const before = bench.state;
    bench.send(answer);
    expect(bench.state).toEqual(before);
    expect(bench.effects).toEqual([]);
  });
});
