import { describe, expect, it } from "vitest";
import { MessageSink, RfbKeySink } from "../src/input/sink";
import { MAX_AGE_MS, Unheard } from "../src/input/unheard";
import type { KeyOp } from "../src/input/keyboard";
import { decode } from "../src/protocol/codec";
import type { Message } from "../src/protocol/messages.gen";

const key = (keysym: number): KeyOp => ({ op: "key", keysym, down: true });
const A = {};
const B = {};

describe("keys that were not heard", () => {
  it("are said again by another connection, in order, and only those", () => {
    const unheard = new Unheard(7);
    for (const keysym of [1, 2, 3, 4]) unheard.keep(unheard.count(), key(keysym), A, 0);
    unheard.taken(8);
    expect(unheard.due(A, 1)).toEqual([]);
    expect(unheard.due(B, 1)).toEqual([key(3), key(4)]);
    expect(unheard.due(B, 1)).toEqual([]);
  });

  it("are said again by the same connection when they did not count there", () => {
    const unheard = new Unheard(0xffff_fffe);
    for (const keysym of [1, 2, 3]) unheard.keep(unheard.count(), key(keysym), A, 0);
    unheard.taken(0xffff_ffff);
    unheard.lost(A);
    expect(unheard.due(A, 1)).toEqual([key(3)]);
    expect(unheard.count()).toBe(1);
  });

  it("stay as they are by a number that is not theirs", () => {
    const unheard = new Unheard(100);
    unheard.keep(unheard.count(), key(1), null, 0);
    unheard.taken(5_000);
    expect(unheard.due(A, 1)).toEqual([key(1)]);
  });

  it("are not said twice to an agent that never says what it took", () => {
    const unheard = new Unheard(0);
    unheard.keep(unheard.count(), key(1), A, 0);
    expect(unheard.due(B, 1)).toEqual([]);
  });

  it("are few and young", () => {
    const unheard = new Unheard(0);
    unheard.taken(9);
    for (let n = 0; n < 1_000; n += 1) unheard.keep(unheard.count(), key(n), A, 0);
    expect(unheard.due(B, 0).length).toBe(256);
    unheard.keep(unheard.count(), key(1), A, 0);
    unheard.keep(unheard.count(), key(2), A, 1);
    expect(unheard.due(B, MAX_AGE_MS)).toEqual([key(2)]);
    unheard.keep(unheard.count(), key(1), A, 0);
    unheard.forget();
    expect(unheard.due(B, 0)).toEqual([]);
  });
});

describe("from one connection to another", () => {
  const setUp = (): { unheard: Unheard; first: MessageSink; second: MessageSink; agent: Message[] } => {
    const unheard = new Unheard(0);
    const agent: Message[] = [];
    const first = new MessageSink(() => undefined, unheard);
    const second = new MessageSink((channel, data) => agent.push(decode(data, channel, "to-agent")), unheard);
    first.counts = true;
    unheard.taken(0xabcd);
    return { unheard, first, second, agent };
  };

  it("keys wait until input by the new one counts", () => {
    const { first, second, agent } = setUp();
    first.keys([key(1), { op: "text", text: "é" }]);
    second.sayAgain();
    second.keys([key(2)]);
    expect(agent).toEqual([]);
    second.counts = true;
    second.sayAgain();
    second.keys([key(3)]);
    second.sayAgain();
    expect(agent).toEqual([
      { type: "Key", seq: 3, keysym: 1, down: true },
      { type: "Text", seq: 4, text: "é" },
      { type: "Key", seq: 5, keysym: 2, down: true },
      { type: "Key", seq: 6, keysym: 3, down: true },
    ]);
  });

  it("noVNC says them too", () => {
    const { unheard, first } = setUp();
    first.keys([key(1)]);
    const sent: [number, boolean][] = [];
    new RfbKeySink((keysym, down) => sent.push([keysym, down]), unheard).sayAgain();
    expect(sent).toEqual([[1, true]]);
  });
});
