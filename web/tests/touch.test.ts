import { describe, expect, it } from "vitest";
import { DOUBLE_MS, LONG_PRESS_MS, SLOP_PX, Touch } from "../src/input/touch";
import type { TouchAction } from "../src/input/touch";

/** A hand: "d1 100 50" puts finger 1 there, "m" moves it, "u" lifts it, "w 500" waits; each takes 10 ms. */
function play(...script: readonly string[]): string[] {
  const touch = new Touch();
  const done: TouchAction[] = [];
  let now = 1000;
  const last = new Map<number, { x: number; y: number }>();
  for (const line of script) {
    const [verb = "", a = "0", b = "0"] = line.split(" ");
    if (verb === "w") {
      const until = now + Number(a);
      while (touch.deadline !== null && touch.deadline <= until) done.push(...touch.due(touch.deadline));
      now = until;
      continue;
    }
    now += 10;
    const id = Number(verb[1]);
    const at = verb.startsWith("u") ? (last.get(id) ?? { x: 0, y: 0 }) : { x: Number(a), y: Number(b) };
    last.set(id, at);
    if (verb.startsWith("d")) done.push(...touch.down({ id, ...at }, now));
    else if (verb.startsWith("m")) done.push(...touch.move({ id, ...at }, now));
    else if (verb.startsWith("u")) done.push(...touch.up({ id, ...at }, now));
    else done.push(...touch.cancel());
  }
  return done.map((action) => {
    const at = `@${action.x},${action.y}`;
    switch (action.do) {
      case "move":
        return `move${at}`;
      case "button":
        return `${action.down ? "+" : "-"}${action.button}${at}`;
      case "scroll":
        return `scroll ${action.dx},${action.dy}${at}`;
    }
  });
}

describe("Touch", () => {
  it.each<[string, string[], string[]]>([
    ["a tap is a click", ["d1 9 8", "u1"], ["+1@9,8", "-1@9,8"]],
    ["a trembling tap too", ["d1 9 8", "m1 12 10", "u1"], ["+1@9,8", "-1@9,8"]],
    ["a long press is a right click, when it ends", ["d1 9 8", `w ${LONG_PRESS_MS}`, "u1"], ["move@9,8", "+3@9,8", "-3@9,8"]],
    ["not quite as long is a click", ["d1 9 8", `w ${LONG_PRESS_MS - 11}`, "u1"], ["+1@9,8", "-1@9,8"]],
    ["a long press that moves is a drag", ["d1 9 8", `w ${LONG_PRESS_MS}`, "m1 50 8", "m1 60 8", "u1"],
      ["move@9,8", "+1@9,8", "move@50,8", "move@60,8", "-1@60,8"]],
    ["a finger that moves at once only points", ["d1 9 8", "m1 30 8", "m1 40 9", "w 900", "u1"], ["move@30,8", "move@40,9"]],
    ["two taps are two clicks at one place", ["d1 9 8", "u1", "d1 20 9", "u1"], ["+1@9,8", "-1@9,8", "+1@9,8", "-1@9,8"]],
    ["slowly, each has its own", ["d1 9 8", "u1", `w ${DOUBLE_MS}`, "d1 20 9", "u1"],
      ["+1@9,8", "-1@9,8", "+1@20,9", "-1@20,9"]],
    ["far apart too", ["d1 9 8", "u1", "d1 90 9", "u1"], ["+1@9,8", "-1@9,8", "+1@90,9", "-1@90,9"]],
    ["a tap and a drag are a drag", ["d1 9 8", "u1", "d1 10 8", "w 900", "m1 80 8", "m1 90 8", "u1"],
      ["+1@9,8", "-1@9,8", "+1@9,8", "move@80,8", "move@90,8", "-1@90,8"]],
    ["two fingers scroll", ["d1 0 100", "d2 20 100", "m1 0 60", "m2 20 60", "m1 0 40", "m2 20 40", "u1", "u2"],
      ["scroll 0,20@10,100", "scroll 0,20@10,100", "scroll 0,10@10,100", "scroll 0,10@10,100"]],
    ["sideways as well", ["d1 0 0", "d2 0 20", "m1 40 0", "m2 40 20", "u2", "u1"], ["scroll -20,0@0,10", "scroll -20,0@0,10"]],
    ["one after the other", ["d1 0 0", "m1 0 30", "d2 20 30", "m2 20 60", "u1", "u2"], ["move@0,30", "scroll 0,-15@10,30"]],
    ["a finger that comes or goes scrolls nothing by itself",
      ["d1 0 0", "d2 20 0", "m1 0 40", "d3 300 300", "u3", "u2", "m1 0 50", "u1"], ["scroll 0,-20@10,0", "scroll 0,-10@10,0"]],
    ["two fingers' tap is the right button", ["d1 0 0", "d2 20 0", "u1", "u2"], ["+3@10,0", "-3@10,0"]],
    ["three fingers' is the middle one", ["d1 0 0", "d2 20 0", "d3 10 0", "u1", "u2", "u3"], ["+2@10,0", "-2@10,0"]],
    ["resting fingers are no tap", ["d1 0 0", "d2 20 0", "w 600", "u1", "u2"], []],
    ["what the browser takes away is let go", ["d1 9 8", `w ${LONG_PRESS_MS}`, "m1 50 8", "c"], ["move@9,8", "+1@9,8", "move@50,8", "-1@9,8"]],
    ["and clicks nothing", ["d1 9 8", "c", "u1"], []],
    ["a second finger does not end a drag", ["d1 9 8", `w ${LONG_PRESS_MS}`, "m1 50 8", "d2 90 90", "u2", "m1 60 8", "u1"],
      ["move@9,8", "+1@9,8", "move@50,8", "move@60,8", "-1@60,8"]],
    ["unknown fingers do nothing", ["m7 3 3", "u7"], []],
  ])("%s", (_, script, actions) => {
    expect(play(...script)).toEqual(actions);
  });

  it("holds the button while it drags", () => {
    const touch = new Touch();
    touch.down({ id: 1, x: 0, y: 0 }, 0);
    touch.due(LONG_PRESS_MS);
    expect(touch.dragging).toBe(false);
    touch.move({ id: 1, x: SLOP_PX + 1, y: 0 }, LONG_PRESS_MS + 1);
    expect(touch.dragging).toBe(true);
    touch.forget();
    expect(touch.dragging).toBe(false);
    expect(touch.up({ id: 1, x: 0, y: 0 }, LONG_PRESS_MS + 2)).toEqual([]);
  });

  it("never leaves a button down, whatever fingers do", () => {
    let seed = 5;
    const dice = (sides: number): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * sides);
    };
    for (let round = 0; round < 300; round += 1) {
      const touch = new Touch();
      const held = new Set<number>();
      let now = 0;
      const take = (actions: readonly TouchAction[]): void => {
        for (const action of actions) {
          if (action.do !== "button") continue;
          expect(held.has(action.button)).toBe(!action.down);
          if (action.down) held.add(action.button);
          else held.delete(action.button);
        }
        expect(held).toEqual(new Set(touch.dragging ? [1] : []));
      };
      for (let step = 0; step < 40; step += 1) {
        now += dice(400);
        take(touch.due(now));
        const finger = { id: dice(3), x: dice(200), y: dice(200) };
        const verb = dice(20);
        if (verb < 7) take(touch.down(finger, now));
        else if (verb < 13) take(touch.move(finger, now));
        else if (verb < 19) take(touch.up(finger, now));
        else take(touch.cancel());
      }
      take(touch.cancel());
      expect(held.size).toBe(0);
    }
  });
});
