import { describe, expect, it } from "vitest";
import { iceFacts } from "../src/transport/ice_stats";
import { Liveness } from "../src/transport/liveness";

describe("Liveness", () => {
  it("tells a silence once, and its end once", () => {
    const liveness = new Liveness(1000, 250);
    const told = [0, 250, 500, 750, 1000, 1250].map((now) => liveness.check(now));
    expect(told).toEqual([false, false, false, false, true, false]);
    expect(liveness.heard()).toBe(true);
    expect(liveness.heard()).toBe(false);
    expect(liveness.check(1500)).toBe(false);
  });

  it("takes no pause of the page for one of the connection", () => {
    const liveness = new Liveness(1000, 250);
    liveness.check(0);
    // Asleep for an hour, then checked as usual.
    expect(liveness.check(3_600_000)).toBe(false);
    expect(liveness.check(3_600_250)).toBe(false);
    expect(liveness.silentMs).toBe(500);
    expect(liveness.check(3_600_500)).toBe(false);
    expect(liveness.check(3_600_750)).toBe(true);
  });

  it("counts from what was heard last", () => {
    const liveness = new Liveness(500, 250);
    liveness.check(0);
    liveness.check(250);
    liveness.heard();
    expect(liveness.check(500)).toBe(false);
    expect(liveness.check(750)).toBe(true);
  });
});

describe("iceFacts", () => {
  const udp = { id: "l-udp", type: "local-candidate", protocol: "udp" };
  const tcp = { id: "l-tcp", type: "local-candidate", protocol: "tcp" };
  const pair = { id: "p1", type: "candidate-pair", localCandidateId: "l-udp", bytesReceived: 10, responsesReceived: 1 };
  const other = { id: "p2", type: "candidate-pair", localCandidateId: "l-tcp", bytesReceived: 7, responsesReceived: 0 };

  it("reads Chromium's selected pair", () => {
    const facts = iceFacts([{ id: "t", type: "transport", selectedCandidatePairId: "p2" }, udp, tcp, pair, other]);
    expect(facts).toEqual({ path: "tcp", bytesReceived: 7, udp: true, tcp: false });
  });

  it("reads Firefox's", () => {
    expect(iceFacts([udp, tcp, { ...pair, selected: true }, other])).toMatchObject({ path: "udp", bytesReceived: 10 });
    expect(iceFacts([udp, { ...pair, nominated: true, state: "succeeded" }]).path).toBe("udp");
  });

  it("knows no path before one is chosen", () => {
    expect(iceFacts([udp, tcp, pair, other])).toEqual({ path: null, bytesReceived: 17, udp: true, tcp: false });
    expect(iceFacts([])).toEqual({ path: null, bytesReceived: 0, udp: false, tcp: false });
  });
});
