import { describe, expect, it } from "vitest";
import { hasFullChroma } from "../src/transport/whep";
import { crispView } from "../src/view/crisp";

describe("the switch for crisp text", () => {
  it("is not there where agent and browser have no 4:4:4 in common", () => {
    for (const wanted of [true, false]) expect(crispView(false, wanted, false).state).toBe("unavailable");
  });

  it("says on when the picture is crisp, and not when that was only asked for", () => {
    expect(crispView(true, false, false).state).toBe("off");
    expect(crispView(true, true, false).state).toBe("asked");
    expect(crispView(true, true, true)).toEqual({ state: "on", label: "Turn crisp text off" });
  });

  it("says that another asked for it", () => {
    expect(crispView(true, false, true).label).toMatch(/another viewer/);
  });
});

describe("an answer", () => {
  const answer = [
    "v=0",
    "m=video 9 UDP/TLS/RTP/SAVPF 108 41",
    "a=rtpmap:108 H264/90000",
    "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    "a=rtpmap:41 H264/90000",
    "a=fmtp:41 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=F4001f",
    "",
  ].join("\r\n");

  it("has full chroma when it names High 4:4:4 Predictive", () => {
    expect(hasFullChroma(answer)).toBe(true);
  });

  it("has none with the profiles that every browser decodes", () => {
    expect(hasFullChroma(answer.replace("F4001f", "4d001f"))).toBe(false);
    expect(hasFullChroma(answer.replace("a=fmtp:41", "a=x:41"))).toBe(false);
    expect(hasFullChroma("")).toBe(false);
  });
});
