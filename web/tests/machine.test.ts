import { describe, expect, it } from "vitest";
import type { SessionState } from "../src/api/types";
import { deadline } from "../src/session/machine";
import type { Event } from "../src/session/machine";
import { HEDGE_MS, RUNGS } from "../src/session/rungs";
import { NEW_WATCH } from "../src/session/watching";
import type { Why } from "../src/session/why";
import { Bench, info, onNovnc, onWebrtc, problem, started } from "./bench";

describe("waiting for the session", () => {
  it("watches from the start and waits for nothing else", () => {
    const bench = started();
    expect(bench.effects).toEqual([{ do: "watch", stream: true }]);
    expect(deadline(bench.state)).toBeNull();
  });

  it.each<SessionState>(["creating", "booting", "restoring", "assigning", "suspending", "resuming", "stopping"])(
    "opens nothing while it is %s",
    (state) => {
      const bench = started().session(state);
      expect(bench.effects).toEqual([]);
      expect(bench.state.phase).toEqual({ name: "waiting" });
    },
  );

  it("opens WebRTC when it is ready, once", () => {
    const bench = started().session("booting").session("ready");
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc", attempt: 1 }]);
    expect(bench.session("ready").effects).toEqual([]);
  });
});

describe("WebRTC", () => {
  it("stays when a picture comes, and reports the time since the page was opened", () => {
    const bench = onWebrtc();
    bench.now = 1500;
    bench.painted();
    expect(bench.effects).toEqual([
      { do: "show", attempt: 1 },
      { do: "mark-painted", transport: "webrtc", elapsedMs: 600 },
      { do: "watch", stream: false },
    ]);
    expect(deadline(bench.state)).toBeNull();
    expect(bench.painted().effects).toEqual([]);
  });

  it("makes way for noVNC when ICE fails before there was a picture", () => {
    const bench = onWebrtc().connection("connecting").connection("failed");
    expect(bench.effects).toEqual([
      { do: "close", attempt: 1 },
      { do: "open", way: "novnc", attempt: 2 },
    ]);
    expect(bench.state.why).toEqual({ kind: "unconnected" });
  });

  it("has a limit for each stage", () => {
    const bench = onWebrtc();
    const { opened, answered, reached } = RUNGS.webrtc.paintMs;
    const limit = (): number | null => ("paintBy" in bench.state.phase ? bench.state.phase.paintBy : null);
    expect(limit()).toBe(1000 + opened);
    bench.now = 9000;
    bench.progress("answered");
    expect(limit()).toBe(9000 + answered);
    bench.now = 9500;
    bench.progress("reached");
    expect(limit()).toBe(9500 + reached);
  });

  it("makes way at once when the gateway refuses", () => {
    const why: Why = { kind: "refused", problem: problem(502) };
    const bench = onWebrtc().closed(why);
    expect(bench.state).toMatchObject({ phase: { name: "novnc" }, why });
  });

  it.each([401, 403])("stops when the token is refused with %i", (status) => {
    const bench = onWebrtc().closed({ kind: "refused", problem: problem(status) });
    expect(bench.state.phase).toEqual({ name: "blocked", problem: problem(status) });
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }]);
  });

  it("does not count time in which the page is hidden and nothing is painted", () => {
    const bench = onWebrtc().send({ type: "visible", visible: false });
    expect(deadline(bench.state)).toBeNull();
    bench.now = 60_000;
    bench.send({ type: "visible", visible: true });
    expect(deadline(bench.state)).toBe(60_000 + HEDGE_MS.opened);
    expect(bench.state.phase).toMatchObject({ paintBy: 60_000 + RUNGS.webrtc.paintMs.opened });
  });

  it("opens without a limit while hidden", () => {
    const bench = started().send({ type: "visible", visible: false }).session("ready");
    expect(deadline(bench.state)).toBeNull();
  });

  it("leaves a painted picture alone when the page is hidden and shown", () => {
    const bench = onWebrtc().painted();
    const before = bench.state.phase;
    bench.send({ type: "visible", visible: false }, { type: "visible", visible: true });
    expect(bench.state.phase).toEqual(before);
  });
});

describe("noVNC", () => {
  it("reports its first picture", () => {
    const bench = onNovnc().painted();
    expect(bench.effects).toEqual([
      { do: "show", attempt: 2 },
      { do: "mark-painted", transport: "novnc", elapsedMs: 100 },
      { do: "watch", stream: false },
    ]);
    expect(deadline(bench.state)).toBeNull();
  });

  it("tries again after a pause that grows, and asks for the session meanwhile", () => {
    const bench = onNovnc();
    const pauses: number[] = [];
    for (let failure = 0; failure < 8; failure += 1) {
      bench.closed();
      expect(bench.effects).toEqual([{ do: "close", attempt: 2 + failure }, { do: "watch", stream: true }]);
      pauses.push((deadline(bench.state) ?? 0) - bench.now);
      bench.expire();
      expect(bench.effects).toEqual([{ do: "open", way: "novnc", attempt: 3 + failure }]);
    }
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 4000, 4000, 4000]);
  });

  it("spreads the pause by chance", () => {
    const bench = onNovnc();
    bench.random = 0.999;
    bench.closed();
    expect(deadline(bench.state)).toBeCloseTo(1000 + 500, 0);
  });

  it("forgets its failures with a picture", () => {
    const bench = onNovnc().closed().expire().closed().expire().painted();
    expect(bench.state.failures).toBe(0);
    bench.closed();
    expect((deadline(bench.state) ?? 0) - bench.now).toBe(250);
  });

  it("is given up when it paints nothing", () => {
    const bench = onNovnc();
    expect(deadline(bench.state)).toBe(1000 + RUNGS.novnc.paintMs.opened);
    bench.progress("answered");
    expect(deadline(bench.state)).toBe(1000 + RUNGS.novnc.paintMs.answered);
    bench.expire();
    expect(bench.state.phase).toMatchObject({ name: "retry" });
  });

  it("keeps the reason why WebRTC is not in use", () => {
    const bench = onWebrtc().closed({ kind: "unconnected" }).closed().expire();
    expect(bench.state.why).toEqual({ kind: "unconnected" });
  });
});

describe("the session's end", () => {
  it("closes WebRTC when it is stopping", () => {
    const bench = onWebrtc().painted().session("stopping");
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }]);
    expect(bench.state.phase).toEqual({ name: "waiting" });
  });

  it.each<SessionState>(["stopped", "failed"])("closes WebRTC when it is %s, and asks no more", (state) => {
    const bench = onWebrtc().painted().session(state);
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }, { do: "unwatch" }]);
    expect(bench.state.phase).toEqual({ name: "waiting" });
    expect(deadline(bench.state)).toBeNull();
  });

  it("ends retries", () => {
    const bench = onNovnc().closed().session("failed");
    expect(bench.effects).toEqual([{ do: "unwatch" }]);
    expect(deadline(bench.state)).toBeNull();
  });

  it("is over when it becomes ready again", () => {
    const bench = onWebrtc().painted().session("stopping").session("ready");
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc", attempt: 2 }]);
  });
});

describe("the stream of states", () => {
  it("is opened again after a second when it just ended", () => {
    const bench = started().session("booting").send({ type: "watch-ended", problem: null });
    expect((deadline(bench.state) ?? 0) - bench.now).toBe(500);
    bench.expire();
    expect(bench.effects).toEqual([{ do: "watch", stream: true }]);
    expect(deadline(bench.state)).toBeNull();
  });

  it("is tried more and more slowly while the gateway does not answer", () => {
    const bench = started();
    const pauses: number[] = [];
    for (let failure = 0; failure < 5; failure += 1) {
      bench.send({ type: "watch-ended", problem: problem(0) });
      pauses.push((deadline(bench.state) ?? 0) - bench.now);
      bench.expire();
    }
    expect(pauses).toEqual([500, 1000, 2000, 2500, 2500]);
    expect(bench.session("booting").state.watch).toEqual(NEW_WATCH);
  });

  it("gives way to asking now and then while there is a picture", () => {
    const bench = onWebrtc().painted().send({ type: "watch-ended", problem: null });
    expect((deadline(bench.state) ?? 0) - bench.now).toBe(2500);
    expect(bench.expire().effects).toEqual([{ do: "watch", stream: false }]);
    bench.closed().send({ type: "watch-ended", problem: null });
    expect(bench.expire().effects).toEqual([{ do: "watch", stream: true }]);
  });

  it("does not disturb a picture by its loss", () => {
    const bench = onWebrtc().painted().send({ type: "watch-ended", problem: problem(0) });
    expect(bench.effects).toEqual([]);
    expect(bench.state.phase).toMatchObject({ name: "webrtc", painted: true });
  });

  it.each([401, 403, 404])("blocks the page when refused with %i", (status) => {
    const bench = started().send({ type: "watch-ended", problem: problem(status) });
    expect(bench.state.phase).toEqual({ name: "blocked", problem: problem(status) });
    expect(deadline(bench.state)).toBeNull();
  });
});

describe("a person's wish", () => {
  it("tries WebRTC at once, behind noVNC's picture", () => {
    const bench = onNovnc().painted().send({ type: "again" });
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc", attempt: 3 }]);
    expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
    expect(bench.state.why).toBeNull();
    expect(bench.send({ type: "again" }).effects).toEqual([]);
  });

  it("asks for the session again when there is none, and when blocked", () => {
    expect(started().send({ type: "again" }).effects).toEqual([{ do: "watch", stream: true }]);
    const bench = started().send({ type: "watch-ended", problem: problem(404) }).send({ type: "again" });
    expect(bench.effects).toEqual([{ do: "watch", stream: true }]);
    expect(bench.session("ready").effects).toEqual([{ do: "open", way: "webrtc", attempt: 1 }]);
  });

  it("leaves, and comes back from the page cache", () => {
    const bench = onWebrtc().painted().send({ type: "leave" });
    expect(bench.effects).toEqual([{ do: "close", attempt: 1 }, { do: "unwatch" }]);
    bench.now = 5000;
    bench.send({ type: "start", openedAt: 5000 }).session("ready");
    expect(bench.effects).toEqual([{ do: "open", way: "webrtc", attempt: 2 }]);
    expect(bench.painted().effects).toContainEqual({ do: "mark-painted", transport: "webrtc", elapsedMs: 0 });
  });
});

describe("a page that was taken off", () => {
  const news: readonly Event[] = [
    { type: "resume-answered", problem: null },
    { type: "session", info: info("ready") },
    { type: "watch-ended", problem: null },
    { type: "network" }, { type: "news" }, { type: "again" }, { type: "wake" }, { type: "timer" },
  ];

  it.each([
    ["while the desktop is woken", (): Bench => started().session("suspended")],
    ["between two looks at the session", (): Bench => onWebrtc().painted().send({ type: "watch-ended", problem: null })],
    ["while the gateway is away", (): Bench => started().send({ type: "watch-ended", problem: problem(0) })],
    ["before its first start", (): Bench => new Bench()],
  ])("%s opens nothing more, whatever comes late", (_, bench) => {
    const off = bench().send({ type: "leave" });
    expect(deadline(off.state)).toBeNull();
    for (const event of news) expect(off.send(event).effects).toEqual([]);
    expect(off.state.phase).toEqual({ name: "waiting" });
  });

  it("knows at its next start whether it is seen", () => {
    const bench = onWebrtc().send({ type: "leave" }, { type: "visible", visible: false }, { type: "start", openedAt: 1000 });
    expect(bench.state.visible).toBe(false);
    expect(bench.session("ready").effects).toEqual([{ do: "open", way: "webrtc", attempt: 2 }]);
  });
});

describe("late events", () => {
  it.each<Event>([
    { type: "painted", attempt: 1 },
    { type: "connection", attempt: 1, state: "failed" },
    { type: "closed", attempt: 1, why: { kind: "lost" } },
  ])("of a replaced transport change nothing: $type", (event) => {
    const bench = onNovnc();
    const before = bench.state;
    expect(bench.send(event).state).toBe(before);
    expect(bench.effects).toEqual([]);
  });

  it("change nothing when no transport is open, nor does an early timer", () => {
    const bench = started();
    const before = bench.state;
    bench.send({ type: "painted", attempt: 1 }, { type: "timer" });
    expect(bench.state).toBe(before);
  });
});

describe("news of the session", () => {
  it("is asked for at once where only a poll would tell", () => {
    expect(onWebrtc().painted().send({ type: "news" }).effects).toEqual([{ do: "watch", stream: false }]);
    expect(onNovnc().painted().send({ type: "news" }).effects).toEqual([{ do: "watch", stream: false }]);
  });

  it("comes by the stream while there is one", () => {
    expect(started().session("ready").send({ type: "news" }).effects).toEqual([]);
  });
});
