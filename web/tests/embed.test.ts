/** The frame's side: who is heard, what is told, which keys are pressed. */
import { describe, expect, it } from "vitest";
import { chordOf, credentialOf } from "../packages/client/src/client.js";
import { sealed } from "../packages/client/src/protocol.js";
import type { FromPage } from "../packages/client/src/protocol.js";
import type { SessionInfo } from "../src/api/types";
import { Border } from "../src/embed/border";
import { opsOf } from "../src/embed/keys";
import { changes, report } from "../src/embed/report";
import { XK } from "../src/input/keysym";
import { standingOf } from "../src/session/standing";
import { REFUSAL_GRACE_MS } from "../src/session/watching";
import type { View } from "../src/view/audience";
import { info, onWebrtc, problem, started } from "./bench";
import type { Bench } from "./bench";

const HOST = "https://shop.example";
const HELLO = sealed({ type: "hello" });

class FakeWindow {
  readonly posted: { readonly message: unknown; readonly targetOrigin: string | undefined }[] = [];

  readonly postMessage = (message: unknown, options?: string | WindowPostMessageOptions): void => {
    this.posted.push({ message, targetOrigin: typeof options === "string" ? options : options?.targetOrigin });
  };
}

describe("the border", () => {
  function framed(): { border: Border; parent: FakeWindow; heard: FromPage[]; from: (source: FakeWindow, origin: string, data: unknown) => void } {
    const [parent, heard] = [new FakeWindow(), [] as FromPage[]];
    const border = new Border(parent, (message) => {
      heard.push(message);
    });
    const from = (source: FakeWindow, origin: string, data: unknown): void => {
      border.hear({ source: source as unknown as Window, origin, data });
    };
    return { border, parent, heard, from };
  }

  it("tells nobody anything before the page has spoken", () => {
    const { border, parent } = framed();
    border.post({ type: "ready", session: "s1" });
    expect(parent.posted).toEqual([]);
  });

  it("answers the page at its own origin only", () => {
    const { border, parent, heard, from } = framed();
    from(parent, HOST, HELLO);
    border.post({ type: "ready", session: "s1" });
    expect(heard).toEqual([{ type: "hello" }]);
    expect(parent.posted).toEqual([{ message: sealed({ type: "ready", session: "s1" }), targetOrigin: HOST }]);
  });

  it("hears no other window, whatever origin it has", () => {
    const { border, parent, heard, from } = framed();
    const other = new FakeWindow();
    for (const origin of [HOST, "https://evil.example"]) from(other, origin, HELLO);
    border.post({ type: "ready", session: "s1" });
    expect([heard, parent.posted, other.posted]).toEqual([[], [], []]);
  });

  it("keeps to the first origin, and takes none that cannot be addressed", () => {
    const { border, parent, heard, from } = framed();
    for (const origin of ["null", ""]) from(parent, origin, HELLO);
    expect(heard).toEqual([]);
    from(parent, HOST, HELLO);
    from(parent, "https://evil.example", sealed({ type: "screenshot", id: 1 }));
    expect(heard).toEqual([{ type: "hello" }]);
    border.post({ type: "reply", id: 1, ok: true });
    expect(parent.posted.map(({ targetOrigin }) => targetOrigin)).toEqual([HOST]);
  });

  it("is not fixed by what is none of the protocol", () => {
    const { parent, heard, from } = framed();
    for (const data of [null, "x", { fenster: 2, type: "hello" }]) from(parent, "https://other.example", data);
    from(parent, HOST, HELLO);
    expect(heard).toEqual([{ type: "hello" }]);
  });
});

function viewOf(bench: Bench, more: Partial<View> = {}, session: Partial<SessionInfo> = {}): View {
  const state = { ...bench.state, session: bench.state.session === null ? null : { ...bench.state.session, ...session } };
  const standing = standingOf("control", "me", state.session?.control ?? null, true);
  return { state, role: "control", standing, readOnly: false, off: false, ...more };
}

/** A session that was seen, and is unknown to the gateway for long enough. */
function destroyed(): Bench {
  const bench = onWebrtc().closed().send({ type: "watch-ended", problem: problem(404) });
  bench.now += REFUSAL_GRACE_MS;
  return bench.send({ type: "watch-ended", problem: problem(404) });
}

describe("what is told", () => {
  it("has a state, a transport and who controls, always", () => {
    expect(report(viewOf(started()))).toEqual([
      { type: "state", state: "unknown", notice: "" },
      { type: "transport", transport: "none", painted: false },
      { type: "control", controller: "unknown", role: "control", readOnly: false, requests: 0 },
    ]);
    const shown = report(viewOf(onWebrtc().painted(), { readOnly: true }));
    expect(shown).toContainEqual({ type: "transport", transport: "webrtc", painted: true });
    expect(shown).toContainEqual({ type: "control", controller: "me", role: "control", readOnly: true, requests: 0 });
  });

  it("has the deadline that nears, and its end", () => {
    const bench = onWebrtc().painted();
    const [calm, warned] = [report(viewOf(bench)), report(viewOf(bench, {}, { warning: "idle", idleAt: 5_000, idleAction: "suspend" }))];
    expect(changes(calm, warned)).toEqual([{ type: "closing", deadline: 5_000, reason: "idle", action: "suspend" }]);
    expect(changes(warned, calm)).toEqual([{ type: "closing", deadline: null, reason: "idle", action: "suspend" }]);
    expect(changes(warned, warned)).toEqual([]);
    const ttl = report(viewOf(bench, {}, { warning: "ttl", endsAt: 9_000 }));
    expect(ttl).toContainEqual({ type: "closing", deadline: 9_000, reason: "ttl", action: "stop" });
  });

  const ends: readonly (readonly [string, View])[] = [
    ["disconnected", viewOf(onWebrtc().painted(), { off: true })],
    ["unauthorized", viewOf(started().send({ type: "watch-ended", problem: problem(401) }))],
    ["unauthorized", viewOf(started().send({ type: "watch-ended", problem: problem(403) }))],
    ["not-found", viewOf(started().send({ type: "watch-ended", problem: problem(404) }))],
    ["stopped", viewOf(started().session("stopped"))],
    ["stopped", viewOf(destroyed())],
    ["failed", viewOf(started().send({ type: "session", info: { ...info("failed"), error: { kind: "k", message: "It broke", hint: "" } } }))],
  ];
  it.each(ends)("ends with %s", (reason, view) => {
    const last = report(view).at(-1);
    expect(last).toMatchObject({ type: "closed", reason });
    expect(last?.type === "closed" ? last.detail : "").not.toBe("");
  });

  it("tells only what is new", () => {
    const bench = onWebrtc();
    const before = report(viewOf(bench));
    expect(changes(before, report(viewOf(bench.painted())))).toEqual([{ type: "transport", transport: "webrtc", painted: true }]);
    expect(changes([], before)).toEqual(before);
  });
});

describe("keys", () => {
  it("presses a chord in order and lets go in reverse", () => {
    const key = (keysym: number, down: boolean): object => ({ op: "key", keysym, down });
    expect(opsOf([{ chord: ["Control", "Alt", "t"] }])).toEqual([
      key(XK.Control_L, true), key(XK.Alt_L, true), key(0x74, true), key(0x74, false), key(XK.Alt_L, false), key(XK.Control_L, false),
    ]);
  });

  it("takes a letter with Shift for the capital", () => {
    const [small, capital] = ["v", "V"].map((name) => opsOf([{ chord: ["Control", "Shift", name] }]));
    expect(small).toEqual(capital);
    expect(capital).toContainEqual({ op: "key", keysym: 0x56, down: true });
  });

  it("types text, and Return for its line breaks", () => {
    const ops = opsOf([{ text: "é\n" }, { chord: ["F5"] }]);
    expect(ops).toHaveLength(5);
    expect(ops[0]).toEqual({ op: "text", text: "é" });
    expect(ops[1]).toEqual({ op: "key", keysym: XK.Return, down: true });
  });

  it("names the key that is none", () => {
    expect(opsOf([{ chord: ["Control", "Banana"] }])).toBe("Banana");
  });

  it.each([
    ["Control+Alt+Delete", ["Control", "Alt", "Delete"]],
    ["a", ["a"]],
    ["+", ["+"]],
    ["Control++", ["Control", "+"]],
  ])("reads the chord %s", (text, chord) => {
    expect(chordOf(text)).toEqual(chord);
  });
});

describe("an address", () => {
  it.each([
    ["https://d.example/embed/x?frame=g#ticket=t", { ticket: "t" }],
    ["https://d.example/embed/x#token=a.b.c", { token: "a.b.c" }],
    ["https://d.example/embed/x", null],
  ])("%s", (url, credential) => {
    expect(credentialOf(new URL(url))).toEqual(credential);
  });
});
