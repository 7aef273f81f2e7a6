import { describe, expect, it } from "vitest";
import { parseSession } from "../src/api/types";
import type { EgressInfo } from "../src/api/types";
import { exitLine, exitTrouble, exitWord, healthWord, isBad } from "../src/session/exit";

const DOWN = { kind: "upstream-down", message: "nobody listens there", hint: "see whether the upstream proxy runs" };
const egress = (more: Partial<EgressInfo> = {}): EgressInfo => ({
  type: "socks5", state: "ok", error: null, address: "", leaks: false, ...more,
});

describe("a desktop's exit", () => {
  it("is read from the session", () => {
    const session = { id: "s1", state: "ready", egress: { type: "http", state: "failing", error: DOWN, address: null, verdict: "failed" } };
    expect(parseSession(session)?.egress).toEqual({ type: "http", state: "failing", error: DOWN, address: "", leaks: false });
    expect(parseSession({ ...session, egress: { type: "http", state: "ok", verdict: "leak" } })?.egress?.leaks).toBe(true);
    expect(parseSession({ id: "s1", state: "ready" })?.egress).toBeNull();
  });

  it.each([
    [egress({ type: "none", state: "off" }), "No internet", false],
    [egress({ type: "direct" }), "Internet: from this host, works", false],
    [egress({ address: "203.0.113.9" }), "Internet: SOCKS5 proxy, works, as 203.0.113.9", false],
    [egress({ state: "unknown" }), "Internet: SOCKS5 proxy, not used yet", false],
    [egress({ type: "http", state: "off" }), "Internet: HTTP proxy", false],
    [egress({ state: "failing", error: DOWN }), "Internet: SOCKS5 proxy, down, nobody listens there", true],
    [egress({ address: "192.0.2.1", leaks: true }), "Internet: SOCKS5 proxy, leaks the host's own address", true],
  ])("%j is told as %s", (given, text, bad) => {
    expect(exitLine(given)).toEqual({ text, bad });
  });

  it("is a trouble only where it fails or leaks", () => {
    expect(exitLine(null)).toBeNull();
    for (const fine of [null, egress(), egress({ state: "unknown" }), egress({ type: "none", state: "failing" })]) expect(exitTrouble(fine)).toBe("");
    expect(exitTrouble(egress({ state: "failing", error: DOWN }))).toMatch(/is down.*Nobody listens there. See whether/);
    expect(exitTrouble(egress({ leaks: true }))).toContain("leaks");
  });

  it("is a word in the panel", () => {
    expect(exitWord(null)).toBeNull();
    expect([egress({ type: "none", state: "off" }), egress(), egress({ state: "off" }), egress({ leaks: true })].map(exitWord)).toEqual([
      "none", "works", "off", "leaks the host's own address",
    ]);
  });

  it("has a word for what the gateway says, and repeats what it does not know", () => {
    expect(["unknown", "ok", "failing", "leak", "resting"].map((health) => [healthWord(health), isBad(health)])).toEqual([
      ["not used yet", false], ["works", false], ["down", true], ["leaks the host's own address", true], ["resting", false],
    ]);
  });
});
