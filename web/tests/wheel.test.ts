import { describe, expect, it } from "vitest";
import { Clicks, Wheel } from "../src/input/wheel";
import type { WheelInput } from "../src/input/wheel";

function turn(deltaY: number, deltaMode = 0, more: Partial<WheelInput> = {}): WheelInput {
  return { deltaX: 0, deltaY, deltaMode, ...more };
}

describe("Wheel", () => {
  it.each([
    ["100 px are a notch", turn(100), { dx: 0, dy: 120 }],
    ["three lines are a notch", turn(-3, 1), { dx: 0, dy: -120 }],
    ["a page is eight", turn(1, 2), { dx: 0, dy: 960 }],
    ["sideways", { deltaX: 50, deltaY: 0, deltaMode: 0 }, { dx: 60, dy: 0 }],
    ["a mouse's notch is exact whatever its pixels", turn(53, 0, { wheelDeltaY: -120 }), { dx: 0, dy: 120 }],
    ["two of them up", turn(-240, 0, { wheelDeltaY: 240 }), { dx: 0, dy: -240 }],
    ["a touchpad's is no mouse's", turn(40, 0, { wheelDeltaY: -120 }), { dx: 0, dy: 48 }],
    ["one that names a notch for each pixel is none", turn(1, 0, { wheelDeltaY: -120 }), { dx: 0, dy: 1 }],
    ["a mouse set to a line a notch is one", turn(33, 0, { wheelDeltaY: -120 }), { dx: 0, dy: 120 }],
    ["clamped to an i16", turn(1e9), { dx: 0, dy: 32767 }],
    ["and below", turn(-1e9), { dx: 0, dy: -32767 }],
  ])("%s", (_, event, notches) => {
    expect(new Wheel().turn(event)).toEqual(notches);
  });

  it("adds up what is less than a unit", () => {
    const wheel = new Wheel();
    const turns = [0.5, 0.5, 0.5, 0.5].map((delta) => wheel.turn(turn(delta))?.dy ?? 0);
    expect(turns).toEqual([0, 1, 0, 1]);
  });

  it("is quiet about nothing and about nonsense", () => {
    expect(new Wheel().turn(turn(0))).toBeNull();
    expect(new Wheel().turn(turn(Number.NaN))).toBeNull();
  });
});

describe("Clicks", () => {
  it("adds up to whole ones, each axis by itself", () => {
    const clicks = new Clicks();
    expect(clicks.turn({ dx: 100, dy: -60 })).toEqual({ x: 0, y: 0 });
    expect(clicks.turn({ dx: 30, dy: -60 })).toEqual({ x: 1, y: -1 });
    expect(clicks.turn({ dx: 110, dy: 0 })).toEqual({ x: 1, y: 0 });
  });

  it("loses nothing of a long way in small steps", () => {
    const wheel = new Wheel();
    const clicks = new Clicks();
    let made = 0;
    for (let at = 0; at < 1000; at += 1) made += clicks.turn(wheel.turn(turn(0.7)) ?? { dx: 0, dy: 0 }).y;
    expect(made).toBe(7);
  });

  it("drops what is less than one when it turns back", () => {
    const clicks = new Clicks();
    clicks.turn({ dx: 0, dy: 119 });
    expect(clicks.turn({ dx: 0, dy: -119 })).toEqual({ x: 0, y: 0 });
    expect(clicks.turn({ dx: 0, dy: -1 })).toEqual({ x: 0, y: -1 });
  });

  it("makes so many at once and no more", () => {
    expect(new Clicks().turn({ dx: 0, dy: 32767 })).toEqual({ x: 0, y: 20 });
  });
});
