/** The embedding protocol at its border: what passes, what does not, and that nothing breaks it. */
import { describe, expect, it } from "vitest";
import { MAX_KEYS, MAX_PNG_BYTES, MAX_TEXT_CHARS, readFromFrame, readFromPage, sealed } from "../packages/client/src/protocol.js";
import type { Command, DesktopEvent, Reply } from "../packages/client/src/protocol.js";

const PNG = new ArrayBuffer(8);
const COMMANDS: readonly Command[] = [
  { type: "connect" },
  { type: "connect", credential: { ticket: "ticket_x" } },
  { type: "connect", credential: { token: "a.b.c" } },
  { type: "disconnect" },
  { type: "setReadOnly", readOnly: true },
  { type: "requestControl" },
  { type: "releaseControl" },
  { type: "resize", width: 1024, height: 768 },
  { type: "paste", content: { kind: "text", text: "hello" } },
  { type: "paste", content: { kind: "png", png: PNG } },
  { type: "sendKeys", keys: [{ chord: ["Control", "c"] }, { text: "ls\n" }] },
  { type: "screenshot" },
];
const SAID: readonly (DesktopEvent | Reply)[] = [
  { type: "ready", session: "abcdefgh" },
  { type: "state", state: "ready", notice: "" },
  { type: "transport", transport: "webrtc", painted: true },
  { type: "stats", fps: 30, rttMs: null, width: 1280, height: 720 },
  { type: "clipboard", content: { kind: "text", text: "x" } },
  { type: "clipboard", content: { kind: "png", png: PNG } },
  { type: "control", controller: "me", role: "control", readOnly: false, requests: 1 },
  { type: "closing", deadline: 1_700_000_000_000, reason: "idle", action: "suspend" },
  { type: "closing", deadline: null, reason: "ttl", action: "stop" },
  { type: "closed", reason: "unauthorized", detail: "The token has expired." },
  { type: "reply", id: 1, ok: true },
  { type: "reply", id: 2, ok: true, picture: { png: PNG, width: 1280, height: 720 } },
  { type: "reply", id: 3, ok: false, error: { kind: "no-control", message: "No." } },
];

describe("from the page", () => {
  it.each(COMMANDS)("passes $type as it is", (command) => {
    expect(readFromPage(sealed({ ...command, id: 7 }))).toEqual({ type: "command", id: 7, command });
  });

  it("passes hello, which has no id", () => {
    expect(readFromPage(sealed({ type: "hello" }))).toEqual({ type: "hello" });
  });

  it("leaves out what the protocol does not know", () => {
    const said = readFromPage(sealed({ type: "resize", id: 1, width: 640, height: 480, depth: 24 }));
    expect(said).toEqual({ type: "command", id: 1, command: { type: "resize", width: 640, height: 480 } });
  });

  it.each([undefined, null, 1, "hello", [], {}, { type: "hello" }, { fenster: 2, type: "hello" }, { fenster: "1", type: "hello" }])(
    "has nothing to say to %j",
    (data) => {
      expect(readFromPage(data)).toBeNull();
    },
  );

  it.each([undefined, -1, 1.5, Number.NaN, "1", 2 ** 60])("has nothing to say to a command with the id %j", (id) => {
    expect(readFromPage(sealed({ type: "screenshot", id }))).toBeNull();
  });

  const bad: readonly (readonly [string, object])[] = [
    ["no such command", { type: "reboot" }],
    ["no such command", { type: 5 }],
    ["credential", { type: "connect", credential: "ticket_x" }],
    ["credential", { type: "connect", credential: {} }],
    ["credential", { type: "connect", credential: { ticket: "" } }],
    ["credential", { type: "connect", credential: { ticket: "x", token: "y" } }],
    ["credential", { type: "connect", credential: { token: "x".repeat(9000) } }],
    ["readOnly", { type: "setReadOnly", readOnly: "yes" }],
    ["width", { type: "resize", width: 319, height: 480 }],
    ["width", { type: "resize", width: 640, height: 239 }],
    ["width", { type: "resize", width: 3841, height: 480 }],
    ["width", { type: "resize", width: 640.5, height: 480 }],
    ["width", { type: "resize", width: "640", height: 480 }],
    ["content", { type: "paste", content: "text" }],
    ["content", { type: "paste", content: { kind: "text", text: "x".repeat(MAX_TEXT_CHARS + 1) } }],
    ["content", { type: "paste", content: { kind: "png", png: new ArrayBuffer(MAX_PNG_BYTES + 1) } }],
    ["content", { type: "paste", content: { kind: "png", png: [1, 2] } }],
    ["keys", { type: "sendKeys", keys: "Enter" }],
    ["keys", { type: "sendKeys", keys: [{ chord: [] }] }],
    ["keys", { type: "sendKeys", keys: [{ chord: [1] }] }],
    ["keys", { type: "sendKeys", keys: [{ chord: ["a"], text: "a" }] }],
    ["keys", { type: "sendKeys", keys: [{ chord: Array<string>(9).fill("a") }] }],
    ["keys", { type: "sendKeys", keys: Array(MAX_KEYS + 1).fill({ text: "a" }) }],
  ];
  it.each(bad)("says what is wrong: %s (%#)", (word, body) => {
    const said = readFromPage(sealed({ ...body, id: 3 }));
    expect(said).toMatchObject({ type: "malformed", id: 3 });
    expect(said?.type === "malformed" ? said.message : "").toContain(word);
  });
});

describe("from the frame", () => {
  it.each(SAID)("passes $type as it is", (message) => {
    expect(readFromFrame(sealed(message))).toEqual(message);
  });

  it.each([
    null, {}, { type: "ready", session: "x" }, sealed({ type: "ready" }), sealed({ type: "state", state: "on", notice: "" }),
    sealed({ type: "transport", transport: "quic", painted: true }), sealed({ type: "closed", reason: "why", detail: "" }),
    sealed({ type: "reply", id: 1, ok: false }), sealed({ type: "reply", id: "1", ok: true }),
    sealed({ type: "reply", id: 1, ok: true, picture: {} }), sealed({ type: "stats", fps: Number.NaN, rttMs: 1, width: 1, height: 1 }),
    { ...sealed({ type: "ready", session: "x" }), fenster: 2 },
  ])("drops %j", (data) => {
    expect(readFromFrame(data)).toBeNull();
  });
});

/** Numbers that are the same in every run (mulberry32). */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

function junk(random: () => number, depth: number): unknown {
  const scalars = [undefined, null, true, 0, -1, 1.5, Number.NaN, Infinity, "", "text", "x".repeat(2000), PNG, Symbol.iterator, 7n];
  const pick = Math.floor(random() * (depth > 0 ? scalars.length + 2 : scalars.length));
  if (pick < scalars.length) return scalars[pick];
  const children = Array.from({ length: Math.floor(random() * 4) }, () => junk(random, depth - 1));
  if (pick === scalars.length) return children;
  return Object.fromEntries(children.map((child, at) => [["type", "kind", "text", "png", "id"][at] ?? "x", child]));
}

describe("whatever comes", () => {
  it("breaks nothing, and only what is whole passes", () => {
    const random = dice(1);
    const seen = new Map<string, number>();
    for (let round = 0; round < 20_000; round += 1) {
      // A good message with some of its values, also inner ones, replaced.
      const base = [...COMMANDS.map((command) => ({ ...command, id: 1 })), ...SAID][Math.floor(random() * (COMMANDS.length + SAID.length))];
      const message: Record<string, unknown> = sealed({ ...base });
      for (const key of Object.keys(message)) if (random() < 0.3) message[key] = junk(random, 3);
      const [fromPage, fromFrame] = [readFromPage(message), readFromFrame(message)];
      for (const [side, said] of [["page", fromPage], ["frame", fromFrame]] as const) {
        const outcome = `${side} ${said?.type ?? "nothing"}`;
        seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      }
      // What passed once passes again, unchanged: nothing unchecked is in it.
      if (fromFrame !== null) expect(readFromFrame(sealed(fromFrame))).toEqual(fromFrame);
      if (fromPage?.type === "command") expect(readFromPage(sealed({ ...fromPage.command, id: fromPage.id }))).toEqual(fromPage);
    }
    for (const outcome of ["page nothing", "page malformed", "page command", "frame nothing", "frame reply", "frame control"]) {
      expect(seen.get(outcome) ?? 0).toBeGreaterThan(50);
    }
  });
});
