import { describe, expect, it } from "vitest";
import { fragmentValue, roleOf } from "../src/api/credentials";
import { EventParser } from "../src/api/sse";
import { parseProblem, parseSession, parseSessions } from "../src/api/types";
import { preferred } from "../src/transport/whep";

const SESSION = {
  id: "s1",
  state: "ready",
  created_at: "2025-01-02T03:04:05.5Z",
  timings: { ready: 14.2, disk: 0.4 },
  error: null,
  viewers: 2,
  display: { width: 1280, height: 720 },
  template: "xfce",
  accelerator: "tcg",
  ends_at: "2025-01-02T04:04:05Z",
  idle_at: null,
  idle_action: "suspend",
  warning: "ttl",
  notice: "Started anew.",
  clipboard: "to_guest",
  files: "upload",
  metadata: { owner: "alice" },
};

describe("parseSession", () => {
  it("reads a session, stages in the order they were reached", () => {
    expect(parseSession(SESSION)).toEqual({
      id: "s1",
      state: "ready",
      createdAt: Date.UTC(2025, 0, 2, 3, 4, 5, 500),
      timings: [["disk", 0.4], ["ready", 14.2]],
      error: null,
      viewers: 2,
      control: null,
      display: { width: 1280, height: 720 },
      template: "xfce",
      accelerator: "tcg",
      endsAt: Date.UTC(2025, 0, 2, 4, 4, 5),
      idleAt: null,
      idleAction: "suspend",
      warning: "ttl",
      egress: null,
      notice: "Started anew.",
      clipboard: "to_guest",
      files: "upload",
    });
  });

  it("reads a failure", () => {
    const error = { kind: "boot-failed", message: "silent", hint: "look" };
    expect(parseSession({ ...SESSION, state: "failed", error })?.error).toEqual(error);
  });

  it.each([null, 3, "x", [], {}, { id: 3, state: "ready" }, { id: "a", state: "dancing" }])("refuses %j", (value) => {
    expect(parseSession(value)).toBeNull();
  });

  it("does without what it can do without", () => {
    expect(parseSession({ id: "a", state: "booting", timings: 3, viewers: "many" })).toMatchObject({
      timings: [], viewers: 0, createdAt: Number.NaN, display: { width: 0, height: 0 }, accelerator: null,
      endsAt: null, idleAt: null, idleAction: "stop", warning: null, notice: "", clipboard: "off", files: "off",
    });
  });

  it.each(["restoring", "suspending", "suspended", "resuming"])("knows the state %s", (state) => {
    expect(parseSession({ id: "a", state })?.state).toBe(state);
  });

  it("takes nothing for a limit that is none", () => {
    expect(parseSession({ ...SESSION, ends_at: "tomorrow", idle_at: {}, idle_action: "dance", warning: "boo" })).toMatchObject({
      endsAt: null, idleAt: null, idleAction: "stop", warning: null,
    });
  });

  it("reads lists and leaves out what is no session", () => {
    expect(parseSessions({ sessions: [SESSION, {}, null] }).map((one) => one.id)).toEqual(["s1"]);
    expect(parseSessions({ sessions: 3 })).toEqual([]);
    expect(parseSessions(null)).toEqual([]);
  });
});

describe("parseProblem", () => {
  it("names the kind by the type's last part", () => {
    const body = { type: "urn:fenster:not-found", title: "not found", status: 404, detail: "no such", hint: "look" };
    expect(parseProblem(404, body)).toEqual({ status: 404, kind: "not-found", detail: "no such", hint: "look" });
    expect(parseProblem(404, { type: "https://x.example/errors/capacity" }).kind).toBe("capacity");
  });

  it("makes do with a proxy's error page", () => {
    expect(parseProblem(502, null)).toEqual({ status: 502, kind: "http-502", detail: "The gateway answered 502.", hint: "" });
  });
});

describe("EventParser", () => {
  const STREAM = ": hello\n\nevent: state\r\ndata: {\"a\":\r\ndata:1}\r\n\r\nid: 7\ndata:  two\n\nevent: lost\n\n";
  const EVENTS = [
    { event: "state", data: '{"a":\n1}' },
    { event: "message", data: " two" },
  ];

  it("reads a stream at once", () => {
    expect(new EventParser().feed(STREAM)).toEqual(EVENTS);
  });

  it("reads it a character at a time", () => {
    const parser = new EventParser();
    expect(Array.from(STREAM).flatMap((char) => parser.feed(char))).toEqual(EVENTS);
  });

  it("throws away an event that has no end to it, and goes on", () => {
    const parser = new EventParser();
    for (let n = 0; n < 300; n += 1) parser.feed(`data: ${"x".repeat(1024)}\n`);
    expect(parser.feed("\n")).toEqual([]);
    expect(parser.feed("data: next\n\n")).toEqual([{ event: "message", data: "next" }]);
  });
});

describe("credentials", () => {
  it.each([
    ["#token=a.b.c", "token", "a.b.c"],
    ["#key=fenster_x-Y_1&x=2", "key", "fenster_x-Y_1"],
    ["#key=", "key", null],
    ["", "key", null],
    ["#other=1", "key", null],
  ])("%s gives %s", (hash, name, value) => {
    expect(fragmentValue(hash, name)).toBe(value);
  });

  function jwt(claims: unknown): string {
    const bytes = new TextEncoder().encode(JSON.stringify(claims));
    const base64 = btoa(String.fromCharCode(...bytes));
    return `h.${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.s`;
  }

  it.each([
    [jwt({ sid: "ü?>", role: "view" }), "view"],
    [jwt({ role: "control" }), "control"],
    [jwt({ role: "root" }), null],
    [jwt(null), null],
    ["fenster_key", null],
    ["a.!!.c", null],
    ["", null],
  ])("role of %s is %s", (token, role) => {
    expect(roleOf(token)).toBe(role);
  });
});

describe("preferred", () => {
  it("puts H.264 first, then VP8, then repair, and offers nothing else", () => {
    const codecs = [
      { mimeType: "video/VP8" },
      { mimeType: "video/rtx" },
      { mimeType: "video/VP9" },
      { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=0;profile-level-id=42e01f" },
      { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=1;profile-level-id=42e01f" },
      { mimeType: "video/AV1" },
    ];
    expect(preferred(codecs)).toEqual([codecs[5], codecs[3], codecs[0], codecs[1]]);
  });
});
