import { describe, expect, it } from "vitest";
import { soundView } from "../src/audio/button";
import type { Hearing } from "../src/audio/button";
import { stereo } from "../src/audio/sdp";

describe("the sound button", () => {
  it("says why there is no sound, whatever was chosen", () => {
    const words: [Hearing, RegExp][] = [
      ["none", /with the picture/],
      ["novnc", /noVNC carries no sound/],
      ["mute", /sends no sound/],
    ];
    for (const [hearing, says] of words) {
      for (const wanted of [true, false]) {
        const view = soundView(hearing, wanted, false);
        expect(view.state).toBe("unavailable");
        expect(view.label).toMatch(says);
      }
    }
  });

  it("is off until asked, and says when the browser waits for a touch", () => {
    expect(soundView("ready", false, false)).toEqual({ state: "off", label: "Turn the sound on" });
    expect(soundView("ready", true, false)).toEqual({ state: "on", label: "Turn the sound off" });
    expect(soundView("ready", true, true).state).toBe("blocked");
    expect(soundView("ready", false, true).state).toBe("off");
  });
});

describe("stereo", () => {
  const offer = [
    "v=0",
    "m=video 9 UDP/TLS/RTP/SAVPF 102",
    "a=rtpmap:102 H264/90000",
    "a=fmtp:102 packetization-mode=1",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=fmtp:63 111/111",
    "",
  ].join("\r\n");

  it("is asked of Opus and of nothing else", () => {
    expect(stereo(offer)).toBe(offer.replace("useinbandfec=1", "useinbandfec=1;stereo=1"));
  });

  it("is asked once", () => {
    expect(stereo(stereo(offer))).toBe(stereo(offer));
    const mono = offer.replace("useinbandfec=1", "stereo=0");
    expect(stereo(mono)).toBe(mono);
  });

  it("leaves an offer without sound alone", () => {
    const silent = offer.slice(0, offer.indexOf("m=audio"));
    expect(stereo(silent)).toBe(silent);
    expect(stereo("")).toBe("");
  });
});
