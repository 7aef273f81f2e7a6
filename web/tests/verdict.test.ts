import { describe, expect, it } from "vitest";
import { NOTHING_FOUND, verdictOf } from "../src/session/verdict";
import type { Findings, Result } from "../src/session/verdict";

const RESULTS: readonly Result[] = ["works", "fails", "unknown"];

function found(more: Partial<Findings>): Findings {
  return { ...NOTHING_FOUND, decoder: "H.264", ...more };
}

describe("verdictOf", () => {
  it("is one sentence, whatever was found", () => {
    for (const udp of RESULTS)
      for (const tcp of RESULTS)
        for (const ws of RESULTS)
          for (const decoder of ["H.264", "VP8", null, undefined] as const)
            for (const webrtc of [true, false]) {
              expect(verdictOf({ udp, tcp, ws, decoder, webrtc })).toMatch(/^[A-Z][^!?]*[^.!?]\.$/);
            }
  });

  it.each<[Partial<Findings>, string]>([
    [{ udp: "works", ws: "works" }, "the fastest way, by UDP."],
    [{ udp: "works", ws: "fails" }, "noVNC could not stand in"],
    [{ udp: "works", decoder: "VP8" }, "as VP8"],
    [{ udp: "fails", tcp: "works" }, "no UDP through, so video comes by TCP"],
    [{ udp: "fails", tcp: "fails", ws: "works" }, "so the picture comes by noVNC"],
    [{ udp: "fails", tcp: "fails", ws: "fails" }, "neither video nor noVNC gets through"],
    [{ udp: "works", webrtc: false }, "has no WebRTC"],
    [{ udp: "works", decoder: null }, "decodes neither"],
    [{}, "not tried yet"],
  ])("of %j says what it means", (more, words) => {
    expect(verdictOf(found(more))).toContain(words);
  });

  it("promises nothing of what was not tried", () => {
    expect(verdictOf(found({ udp: "fails" }))).toContain("TCP was not tried yet");
    expect(verdictOf(found({ tcp: "fails" }))).toContain("UDP was not tried yet");
    expect(verdictOf(found({ tcp: "works" }))).toContain("UDP was not tried yet");
  });
});
