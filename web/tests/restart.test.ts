/** The gateway is restarted under an open page: sessions outlive it, and so must the picture. */
import { describe, expect, it } from "vitest";
import type { Event } from "../src/session/machine";
import { REFUSAL_GRACE_MS } from "../src/session/watching";
import { onNovnc, onWebrtc, problem, started } from "./bench";

function ended(status: number): Event {
  return { type: "watch-ended", problem: problem(status) };
}

describe("a restart of the gateway", () => {
  it("leaves WebRTC's picture as it is", () => {
    const bench = onWebrtc().painted();
    const picture = bench.state.phase;
    for (const status of [0, 0, 502, 503, 404, 401, 403]) {
      expect(bench.send(ended(status)).effects).toEqual([]);
      expect(bench.expire().effects).toEqual([{ do: "watch", stream: false }]);
      expect(bench.state.phase).toEqual(picture);
    }
    expect(bench.session("ready").effects).toEqual([]);
    expect(bench.state.phase).toEqual(picture);
    expect(bench.state.watch.problem).toBeNull();
  });

  it("does not keep a frozen picture of a session that is gone", () => {
    const bench = onWebrtc().painted();
    bench.send({ type: "silent", attempt: bench.attempt }).send(ended(404));
    expect(bench.state.phase).toMatchObject({ name: "webrtc", painted: true });
    bench.now += REFUSAL_GRACE_MS;
    bench.send(ended(404));
    expect(bench.state.phase).toMatchObject({ name: "blocked", problem: { status: 404 } });
  });

  it("leaves noVNC's picture as it is when only the state is refused", () => {
    const bench = onNovnc().painted().send(ended(404));
    expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
    bench.now = bench.state.watch.retryAt ?? Number.NaN;
    expect(bench.send({ type: "timer" }).effects).toContainEqual({ do: "watch", stream: false });
  });

  it("brings noVNC back by itself", () => {
    const bench = onNovnc().painted().closed();
    expect(bench.state.phase).toMatchObject({ name: "retry" });
    bench.send(ended(0));
    for (let refused = 0; refused < 3; refused += 1) {
      bench.now = "retryAt" in bench.state.phase ? bench.state.phase.retryAt : Number.NaN;
      bench.send({ type: "timer" });
      expect(bench.effects).toEqual([{ do: "open", way: "novnc", attempt: 3 + refused }]);
      bench.closed().send(ended(0));
    }
    bench.now = "retryAt" in bench.state.phase ? bench.state.phase.retryAt : Number.NaN;
    bench.send({ type: "timer" }).session("ready").painted();
    expect(bench.state.phase).toMatchObject({ name: "novnc", painted: true });
  });

  it.each([401, 403, 404])("does not end noVNC's retries by a %i or two of a gateway that just came up", (status) => {
    const bench = onNovnc().painted().closed().send(ended(status));
    expect(bench.state.phase).toMatchObject({ name: "retry" });
    bench.now += REFUSAL_GRACE_MS - 1;
    expect(bench.send(ended(status)).state.phase).toMatchObject({ name: "retry" });
    bench.session("ready").send(ended(status));
    expect(bench.state.watch.refusedSince).toBe(bench.now);
    bench.send({ type: "timer" });
    expect(bench.painted().state.phase).toMatchObject({ name: "novnc", painted: true });
  });

  it("is not what happened when the refusals go on without a picture", () => {
    for (const bench of [onWebrtc(), onNovnc().painted().closed(), started().session("booting")]) {
      bench.send(ended(404));
      expect(bench.state.watch.retryAt).not.toBeNull();
      bench.now += REFUSAL_GRACE_MS;
      bench.send(ended(404));
      expect(bench.state.phase).toEqual({ name: "blocked", problem: problem(404) });
      expect(bench.state.watch.retryAt).toBeNull();
    }
  });

  it("counts refusals in a row only", () => {
    const bench = onNovnc().closed().send(ended(404));
    bench.now += REFUSAL_GRACE_MS;
    bench.send(ended(0), ended(404));
    expect(bench.state.phase).toMatchObject({ name: "retry" });
  });

  it("closes what is open when it blocks the page", () => {
    const bench = onWebrtc().send(ended(401));
    bench.now += REFUSAL_GRACE_MS;
    expect(bench.send(ended(401)).effects).toEqual([{ do: "close", attempt: 1 }]);
  });
});
