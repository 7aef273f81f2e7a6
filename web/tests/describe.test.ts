import { describe, expect, it } from "vitest";
import { parseSession } from "../src/api/types";
import type { Problem, SessionInfo } from "../src/api/types";
import { noteOf, panelOf } from "../src/session/describe";
import { expiryNote } from "../src/session/expiry";
import { gapSince } from "../src/session/gap";
import { INITIAL } from "../src/session/machine";
import type { Path, Phase, State } from "../src/session/machine";
import { NEW_WATCH } from "../src/session/watching";
import { sentence, whyNotWebrtc } from "../src/session/why";
import { age, seconds, stageLabel, timeOfDay } from "../src/view/stages";

function state(session: string | null, phase: Phase = { name: "waiting" }, more: Partial<State> = {}): State {
  const error = session === "failed" ? { kind: "boot-failed", message: "the guest said nothing", hint: "look at its log" } : null;
  const info = session === null ? null : parseSession({ id: "s", state: session, timings: { spawn: 0.4, hello: 12.1 }, error });
  return { ...INITIAL, session: info, phase, ...more };
}

function open(name: "webrtc" | "novnc", painted: boolean, path: Path | null = null): Phase {
  return { name, way: name, attempt: 1, path, painted, paintedAt: painted ? 1 : null, paintBy: null };
}

const GAP = { gap: gapSince(5) };

const GONE: Problem = { status: 0, kind: "unreachable", detail: "The gateway does not answer.", hint: "Check it." };
const UNHEARD = { watch: { ...NEW_WATCH, failures: 1, retryAt: 5, problem: GONE } };

describe("panelOf", () => {
  it("shows the stages with their times while it starts", () => {
    expect(panelOf(state("booting"))).toMatchObject({
      tone: "busy",
      stages: [
        { label: "Machine started", seconds: 0.4 },
        { label: "Linux booted", seconds: 12.1 },
        { label: "Booting Linux", seconds: null },
      ],
      action: null,
    });
  });

  it("is gone while there is a picture, by either transport", () => {
    expect(panelOf(state("ready", open("webrtc", true)))).toBeNull();
    expect(panelOf(state("ready", open("novnc", true)))).toBeNull();
    expect(panelOf(state("ready", open("webrtc", false)))).not.toBeNull();
  });

  it.each([
    ["failed", state("failed"), "The guest said nothing. Look at its log.", "list"],
    ["stopped", state("stopped"), "Nothing of it is left.", "list"],
    ["out of reach", state(null, { name: "waiting" }, UNHEARD), "Trying again. Check it.", "again"],
    ["interrupted by the gateway", state("ready", { name: "retry", retryAt: 1 }, UNHEARD), "does not answer. Connecting again", "again"],
    ["unknown", state(null, { name: "blocked", problem: { ...GONE, status: 404 } }), "may have ended", "list"],
    ["refused", state(null, { name: "blocked", problem: { ...GONE, status: 401, detail: "the token has expired" } }), "The token has expired.", "list"],
    ["interrupted", state("ready", { name: "retry", retryAt: 1 }), "The noVNC connection closed. Connecting again", "again"],
  ])("%s: says what happened and offers one action", (_, given, text, does) => {
    const panel = panelOf(given);
    expect(panel?.text).toContain(text);
    expect(panel?.action?.does).toBe(does);
  });

  it("is over a picture from which nothing comes, once that has lasted", () => {
    const stale = { gap: { ...gapSince(5), stale: true } };
    expect(panelOf(state("ready", open("webrtc", true), GAP))).toBeNull();
    expect(panelOf(state("ready", open("webrtc", true), stale))).toMatchObject({ tone: "busy", title: "The picture is interrupted", action: { does: "again" } });
    expect(panelOf(state("ready", open("webrtc", true), { ...stale, ...UNHEARD }))?.text).toContain("The gateway does not answer.");
  });

  it("says why it goes on with noVNC", () => {
    const panel = panelOf(state("ready", open("novnc", false), { why: { kind: "no-picture" } }));
    expect(panel?.text).toContain("WebRTC brought no picture");
  });
});

describe("panelOf a session that sleeps", () => {
  it.each([
    ["restoring", "Starting your desktop"],
    ["suspending", "Your desktop is going to sleep"],
    ["resuming", "Waking your desktop"],
  ])("is busy while it is %s, and says when the gateway is not heard", (name, title) => {
    expect(panelOf(state(name))).toMatchObject({ tone: "busy", title, text: "", action: null });
    expect(panelOf(state(name, { name: "waiting" }, UNHEARD))?.text).toContain("Trying again.");
  });

  it("offers to wake it", () => {
    const panel = panelOf(state("suspended", { name: "waiting" }, { wake: { name: "idle" } }));
    expect(panel).toMatchObject({ tone: "calm", title: "Your desktop sleeps", action: { label: "Wake it", does: "wake" } });
  });

  it.each(["asked", "accepted"] as const)("offers nothing once the call is %s", (name) => {
    const panel = panelOf(state("suspended", { name: "waiting" }, { wake: { name } }));
    expect(panel).toMatchObject({ tone: "busy", title: "Waking your desktop", action: null });
  });

  it("says why it sleeps on after the call was taken", () => {
    const error = { kind: "vm", message: "its disk is gone", hint: "look for it" };
    const session = parseSession({ id: "s", state: "suspended", error });
    const shown = (wake: State["wake"]): ReturnType<typeof panelOf> => panelOf({ ...INITIAL, session, wake });
    expect(shown({ name: "idle" })).toMatchObject({ tone: "bad", text: "Its disk is gone. Look for it.", action: { does: "wake" } });
    expect(shown({ name: "asked" })).toMatchObject({ tone: "busy", action: null });
  });

  it("shows no stages of the first start on a later one", () => {
    const session = parseSession({ id: "s", state: "assigning", timings: { hello: 12.1, ready: 14.2 } });
    expect(panelOf({ ...INITIAL, session })).toMatchObject({ tone: "busy", stages: [] });
  });

  it("says why it could not be woken, and offers another try", () => {
    const problem: Problem = { status: 503, kind: "capacity", detail: "no room", hint: "end another session" };
    const panel = panelOf(state("suspended", { name: "waiting" }, { wake: { name: "refused", problem } }));
    expect(panel).toMatchObject({ tone: "bad", text: "No room. End another session.", action: { label: "Try again", does: "wake" } });
  });
});

describe("expiryNote", () => {
  const at = Date.UTC(2025, 0, 2, 14, 32);

  function warned(more: Record<string, unknown>): SessionInfo {
    const info = parseSession({ id: "s", state: "ready", ends_at: new Date(at).toISOString(), idle_at: new Date(at).toISOString(), ...more });
    if (info === null) throw new Error("not a session");
    return info;
  }

  it.each([
    [{ warning: null }, ""],
    [{ warning: "ttl" }, `This desktop ends at ${timeOfDay(at)}.`],
    [{ warning: "ttl", ends_at: null }, "This desktop ends soon."],
    [{ warning: "idle", idle_action: "suspend" }, `Nobody has used this desktop for a while; it will be suspended at ${timeOfDay(at)}.`],
    [{ warning: "idle", idle_action: "stop" }, `Nobody has used this desktop for a while; it will end at ${timeOfDay(at)}.`],
  ])("for %j is %j", (more, note) => {
    expect(expiryNote(warned(more))).toBe(note);
  });

  it("is the status bar's note while the session is ready, unless the picture is disturbed", () => {
    const session = warned({ warning: "ttl" });
    const shown = (phase: Phase, more: Partial<State> = {}): string => noteOf({ ...INITIAL, session, phase, ...more });
    expect(shown(open("webrtc", true))).toContain("This desktop ends at");
    expect(shown(open("novnc", true), { why: { kind: "unconnected" } })).toContain("This desktop ends at");
    expect(shown(open("webrtc", true), { session: { ...warned({ warning: null }), notice: "Started anew." } })).toBe("Started anew.");
    expect(shown(open("webrtc", true), GAP)).toContain("interrupted");
    expect(shown(open("webrtc", true), UNHEARD)).toContain("does not answer");
    expect(noteOf({ ...INITIAL, session: { ...session, state: "suspended" } })).toBe("");
  });
});

describe("noteOf", () => {
  it("gives the reason for noVNC, and warns of an interruption", () => {
    expect(noteOf(state("ready", open("novnc", true), { why: { kind: "unconnected" } }))).toContain("UDP may be blocked");
    expect(noteOf(state("ready", open("webrtc", true), GAP))).toContain("interrupted");
    expect(noteOf(state("ready", open("webrtc", true, "udp")))).toContain("fastest");
    expect(noteOf(state("ready", open("webrtc", true, "tcp")))).toContain("TCP");
    expect(noteOf(state("ready", open("webrtc", true), UNHEARD))).toContain("does not answer");
    expect(noteOf(state("booting"))).toBe("");
  });

  it("is one sentence for every reason", () => {
    const refused = { kind: "refused", problem: { ...GONE, detail: "no room" } } as const;
    expect(whyNotWebrtc(refused)).toBe("The gateway could not set up WebRTC: No room.");
    for (const kind of ["no-picture", "unconnected", "lost", "unsupported", "version"] as const) {
      expect(whyNotWebrtc({ kind })).toMatch(/^[A-Z].*\.$/);
    }
    expect(whyNotWebrtc({ kind: "closed", detail: "" })).toMatch(/\.$/);
  });
});

describe("words", () => {
  it("are sentences, labels, times and ages", () => {
    expect(sentence("no such session")).toBe("No such session.");
    expect(sentence("Really?")).toBe("Really?");
    expect(stageLabel("some-new_stage")).toBe("Some new stage");
    expect(timeOfDay(new Date(2025, 0, 2, 14, 32).getTime())).toMatch(/^(14:32|2:32\sPM)$/);
    expect(seconds(0.4)).toBe("0.40\u00a0s");
    expect(seconds(14.23)).toBe("14.2\u00a0s");
    expect([5_000, 125_000, 7_260_000, 200_000_000].map(age)).toEqual(["5\u00a0s", "2\u00a0min", "2\u00a0h 1\u00a0min", "2\u00a0d"]);
  });
});
