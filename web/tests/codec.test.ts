import { describe, expect, it } from "vitest";
import { decode, encode, Malformed } from "../src/protocol/codec";
import { MAX_HELD, MAX_TEXT_BYTES, PLANS } from "../src/protocol/messages.gen";
import type { Channel, Direction, Message } from "../src/protocol/messages.gen";
import shared from "../../guest-agent/guest_agent/protocol/vectors.json";

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hexOf(data: Uint8Array): string {
  return [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

interface Vectors {
  readonly valid: readonly { channel: Channel; direction: Direction; hex: string; message: Record<string, unknown> }[];
  readonly invalid: readonly { channel: Channel; direction: Direction; hex: string; why: string }[];
}

/** The file that the agent's own tests run too; it has bytes in hex. */
const { valid, invalid } = shared as unknown as Vectors;

/** JSON has no bytes: they stand there in hex. */
function messageOf(plain: Record<string, unknown>): Message {
  const fields = PLANS.find((plan) => plan.type === plain["type"])?.fields ?? [];
  const blobs = fields.filter(([, kind]) => kind === "blob" || kind === "bytes");
  return { ...plain, ...Object.fromEntries(blobs.map(([name]) => [name, bytes(String(plain[name]))])) } as unknown as Message;
}

describe("the shared vectors", () => {
  it("has some of each", () => {
    expect(valid.length).toBeGreaterThan(10);
    expect(invalid.length).toBeGreaterThan(5);
  });

  it.each(valid)("$message.type $hex", ({ channel, direction, hex, message }) => {
    expect(decode(bytes(hex), channel, direction)).toEqual(messageOf(message));
    expect(hexOf(encode(messageOf(message)))).toBe(hex.toLowerCase());
  });

  it.each(invalid)("refuses $why", ({ channel, direction, hex }) => {
    expect(() => decode(bytes(hex), channel, direction)).toThrow(Malformed);
  });
});

describe("encode", () => {
  it("keeps a byte order mark and astral text", () => {
    const message: Message = { type: "Text", seq: 1, text: "\ufeff😀ñ" };
    expect(decode(encode(message), "input", "to-agent")).toEqual(message);
  });

  it("writes a u32 above the signed range", () => {
    expect(hexOf(encode({ type: "Key", seq: 0xffff_ffff, keysym: 0x0101_f600, down: true }))).toBe("02ffffffff0101f60001");
  });

  it("reads from the middle of a larger buffer", () => {
    const whole = bytes("ffff2100000005ff");
    expect(decode(whole.subarray(2, 7), "control", "to-agent")).toEqual({ type: "Ping", stamp: 5 });
  });

  it.each<[string, Message]>([
    ["a fraction", { type: "Move", seq: 0, x: 0.5, y: 0 }],
    ["NaN", { type: "Move", seq: 0, x: Number.NaN, y: 0 }],
    ["a negative u16", { type: "Move", seq: 0, x: -1, y: 0 }],
    ["a large i16", { type: "Wheel", seq: 0, dx: 0x8000, dy: 0, x: 0, y: 0 }],
    ["long text", { type: "Text", seq: 0, text: "é".repeat(MAX_TEXT_BYTES / 2 + 1) }],
    ["half a surrogate pair", { type: "Text", seq: 0, text: "a\ud83d" }],
    ["too many keysyms", { type: "Held", seq: 0, buttons: 0, keysyms: Array.from({ length: MAX_HELD + 1 }, () => 1) }],
    ["a missing field", { type: "Ping" } as unknown as Message],
    ["an unknown type", { type: "Nothing" } as unknown as Message],
  ])("refuses %s", (_, message) => {
    expect(() => encode(message)).toThrow(Malformed);
  });
});
