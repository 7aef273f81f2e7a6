import { describe, expect, it } from "vitest";
import { chunks } from "../src/input/chunks";
import { MessageSink, RfbKeySink } from "../src/input/sink";
import { decode } from "../src/protocol/codec";
import { Unheard } from "../src/input/unheard";
import { MAX_HELD } from "../src/protocol/messages.gen";
import type { Channel, Message } from "../src/protocol/messages.gen";

function recorder(): { sink: MessageSink; sent: [Channel, Message][] } {
  const sent: [Channel, Message][] = [];
  const sink = new MessageSink((channel, data) => sent.push([channel, decode(data, channel, "to-agent")]), new Unheard(0));
  sink.counts = true;
  return { sink, sent };
}

describe("MessageSink", () => {
  it("numbers all input in one count", () => {
    const { sink, sent } = recorder();
    sink.keys([
      { op: "key", keysym: 0x61, down: true },
      { op: "key", keysym: 0x61, down: true },
    ]);
    sink.move({ x: 1, y: 2 });
    sink.button(3, true, { x: 4, y: 5 });
    sink.wheel({ dx: 0, dy: -120 }, { x: 4, y: 5 });
    sink.held([0x61], 1 << 3);
    sink.keys([{ op: "text", text: "ж😀" }, { op: "release-all", keysyms: [0x61] }]);
    expect(sent).toEqual([
      ["input", { type: "Key", seq: 0, keysym: 0x61, down: true }],
      ["input", { type: "Key", seq: 1, keysym: 0x61, down: true }],
      ["pointer", { type: "Move", seq: 2, x: 1, y: 2 }],
      ["input", { type: "Button", seq: 3, button: 3, down: true, x: 4, y: 5 }],
      ["input", { type: "Wheel", seq: 4, dx: 0, dy: -120, x: 4, y: 5 }],
      ["input", { type: "Held", seq: 5, buttons: 8, keysyms: [0x61] }],
      ["input", { type: "Text", seq: 6, text: "ж😀" }],
      ["input", { type: "ReleaseAll", seq: 7 }],
    ]);
  });

  it("begins with a release of all when its input counts again", () => {
    const { sink, sent } = recorder();
    sink.counts = true;
    expect(sent).toEqual([]);
    sink.counts = false;
    sink.counts = true;
    expect(sent).toEqual([["input", { type: "ReleaseAll", seq: 0 }]]);
  });

  it("cuts long text and long lists to what a message carries", () => {
    const { sink, sent } = recorder();
    sink.keys([{ op: "text", text: "a" + "😀".repeat(300) }]);
    sink.held(Array.from({ length: 40 }, (_, n) => n), 0);
    const texts = sent.flatMap(([, message]) => (message.type === "Text" ? [message.text] : []));
    expect(texts.length).toBe(2);
    expect(texts.join("")).toBe("a" + "😀".repeat(300));
    expect(sent.at(-1)?.[1]).toMatchObject({ keysyms: { length: MAX_HELD } });
  });
});

describe("RfbKeySink", () => {
  it("types text as keysyms and releases what was held", () => {
    const sent: [number, boolean][] = [];
    const sink = new RfbKeySink((keysym, down) => sent.push([keysym, down]), new Unheard(0));
    sink.keys([
      { op: "key", keysym: 0xffe1, down: true },
      { op: "key", keysym: 0xffe1, down: true },
      { op: "text", text: "é😀" },
      { op: "release-all", keysyms: [0xffe1] },
    ]);
    sink.held();
    expect(sent).toEqual([
      [0xffe1, true],
      [0xffe1, true],
      [0xe9, true],
      [0xe9, false],
      [0x0101_f600, true],
      [0x0101_f600, false],
      [0xffe1, false],
    ]);
  });
});

describe("chunks", () => {
  it("never cuts inside a code point", () => {
    expect(chunks("aé😀b", 4)).toEqual(["aé", "😀", "b"]);
    expect(chunks("", 4)).toEqual([]);
    expect(chunks("abcd", 4)).toEqual(["abcd"]);
  });
});
