import { describe, expect, it } from "vitest";
import { bytesOf, contentOf, limitOf, MAX_BYTES, same, textContent, tooLarge } from "../src/clipboard/content";
import { atMost, KeyGate } from "../src/clipboard/gate";
import { isPaste } from "../src/clipboard/paste_keys";
import { Receiver } from "../src/clipboard/receiver";
import type { KeyOp } from "../src/input/keyboard";

function bytes(...values: number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values);
}

describe("content", () => {
  it("has the guest's line ends and no half surrogate pair", () => {
    expect(textContent("a\r\nb\rc\ud83d")).toEqual({ kind: "text", text: "a\nb\rc\ufffd" });
  });

  it("comes back from its bytes", () => {
    const content = textContent("\ufeffGrüße 🦀");
    expect(contentOf(1, bytesOf(content))).toEqual(content);
    expect(contentOf(2, bytes(1, 2))).toEqual({ kind: "png", data: bytes(1, 2) });
    expect(contentOf(1, bytes(0xff))).toBeNull();
    expect(contentOf(3, bytes(1))).toBeNull();
  });

  it("is the same only as its like", () => {
    expect(same(textContent("a"), textContent("a"))).toBe(true);
    expect(same(textContent("a"), textContent("b"))).toBe(false);
    expect(same(textContent("a"), { kind: "png", data: bytesOf(textContent("a")) })).toBe(false);
    expect(same({ kind: "png", data: bytes(1, 2) }, { kind: "png", data: bytes(1, 2) })).toBe(true);
    expect(same({ kind: "png", data: bytes(1, 2) }, { kind: "png", data: bytes(1, 3) })).toBe(false);
    expect(same({ kind: "png", data: bytes(1) }, { kind: "png", data: bytes(1, 3) })).toBe(false);
    expect(same(null, null)).toBe(false);
  });

  it("is bounded in bytes, not in characters", () => {
    expect(tooLarge(textContent("é".repeat(MAX_BYTES.text / 2)))).toBeNull();
    expect(tooLarge(textContent("é".repeat(MAX_BYTES.text / 2 + 1)))).toContain("1 MiB");
    expect([limitOf(1), limitOf(2), limitOf(3)]).toEqual([1 << 20, 8 << 20, 0]);
  });
});

describe("the receiver", () => {
  const offer = (id: number, size: number, kind = 1) => ({ type: "GuestClipboardOffer", id, kind, size }) as const;
  const chunk = (id: number, ...data: number[]) => ({ type: "GuestClipboardChunk", id, data: bytes(...data) }) as const;
  const cancel = (id: number) => ({ type: "GuestClipboardCancel", id }) as const;

  it("puts chunks together", () => {
    const receiver = new Receiver();
    expect(receiver.receive(offer(1, 3))).toBeNull();
    expect(receiver.receive(chunk(1, 97, 98))).toBeNull();
    expect(receiver.receive(chunk(1, 99))).toEqual({ id: 1, content: { kind: "text", text: "abc" } });
    expect(receiver.receive(chunk(1, 99))).toBeNull();
    expect(receiver.receive(offer(2, 0))).toEqual({ id: 2, content: { kind: "text", text: "" } });
  });

  it("lets a newer offer replace the older", () => {
    const receiver = new Receiver();
    receiver.receive(offer(1, 2));
    receiver.receive(chunk(1, 97));
    receiver.receive(offer(2, 1));
    expect(receiver.receive(chunk(1, 98))).toBeNull();
    expect(receiver.receive(chunk(2, 99))?.content).toEqual({ kind: "text", text: "c" });
  });

  it("refuses what is too large, too long or no text", () => {
    const receiver = new Receiver();
    expect(receiver.receive(offer(1, (1 << 20) + 1))).toEqual({ id: 1, content: null });
    expect(receiver.receive(offer(2, 1, 9))).toEqual({ id: 2, content: null });
    receiver.receive(offer(3, 1));
    expect(receiver.receive(chunk(3, 1, 2))).toEqual({ id: 3, content: null });
    receiver.receive(offer(4, 1));
    expect(receiver.receive(chunk(4, 0xff))).toEqual({ id: 4, content: null });
  });

  it("forgets what was cancelled, and only that", () => {
    const receiver = new Receiver();
    receiver.receive(offer(1, 1));
    receiver.receive(cancel(2));
    expect(receiver.receive(chunk(1, 97))).not.toBeNull();
    receiver.receive(offer(3, 1));
    receiver.receive(cancel(3));
    expect(receiver.receive(chunk(3, 97))).toBeNull();
  });
});

describe("the gate", () => {
  const press = (keysym: number): KeyOp => ({ op: "key", keysym, down: true });

  function gated(): { gate: KeyGate; sent: KeyOp[] } {
    const sent: KeyOp[] = [];
    const gate = new KeyGate({ keys: (ops) => sent.push(...ops), held: () => undefined });
    return { gate, sent };
  }

  it("keeps keys back, in order, until the clipboard is there", async () => {
    const { gate, sent } = gated();
    gate.keys([press(1)]);
    let ready: () => void = () => undefined;
    const holding = new Promise<void>((done) => (ready = done));
    gate.hold(holding);
    gate.keys([press(2)]);
    gate.keys([press(3), { op: "release-all", keysyms: [] }]);
    expect(sent).toEqual([press(1)]);
    ready();
    await holding;
    await Promise.resolve();
    expect(sent).toEqual([press(1), press(2), press(3), { op: "release-all", keysyms: [] }]);
    gate.keys([press(4)]);
    expect(sent.at(-1)).toEqual(press(4));
  });

  it("lets go of what it keeps back, and keeps on", async () => {
    const { gate, sent } = gated();
    const holding = Promise.resolve();
    gate.hold(holding);
    gate.keys([press(1)]);
    gate.flush();
    gate.keys([press(2)]);
    expect(sent).toEqual([press(1)]);
    await holding;
    await Promise.resolve();
    expect(sent).toEqual([press(1), press(2)]);
  });

  it("waits for the last of several, and holds no more than a person types", async () => {
    const { gate, sent } = gated();
    const never = new Promise<void>(() => undefined);
    gate.hold(Promise.resolve());
    gate.hold(never);
    gate.keys([press(1)]);
    await Promise.resolve();
    await Promise.resolve();
    expect(sent).toEqual([]);
    gate.keys(Array.from({ length: 300 }, (_, at) => press(at)));
    expect(sent).toHaveLength(301);
  });

  it("is opened by a limit, and by a failure", async () => {
    expect(await atMost(new Promise(() => undefined), 1)).toBeNull();
    expect(await atMost(Promise.reject(new Error("no")), 100_000)).toBeNull();
    expect(await atMost(Promise.resolve(5), 100_000)).toBe(5);
  });
});

describe("paste shortcuts", () => {
  const key = (key: string, held: string, code = ""): boolean =>
    isPaste({
      key, code, ctrlKey: held.includes("c"), shiftKey: held.includes("s"), metaKey: held.includes("m"), altKey: held.includes("a"),
    });

  it.each([["v", "c"], ["V", "cs"], ["v", "m"], ["Insert", "s"]])("%s with %s", (name, held) => {
    expect(key(name, held)).toBe(true);
  });

  it.each([["v", ""], ["v", "ca"], ["Insert", ""], ["Insert", "c"], ["c", "c"], ["v", "cm"]])("not %s with %s", (name, held) => {
    expect(key(name, held)).toBe(false);
  });

  it("goes by the key's place in a layout without Latin letters", () => {
    expect(key("м", "c", "KeyV")).toBe(true);
    expect(key("k", "c", "KeyV")).toBe(false);
  });
});
