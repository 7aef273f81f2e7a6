import { describe, expect, it } from "vitest";
import { Wheel } from "../src/input/wheel";
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
