import { describe, expect, it } from "vitest";
import { fitted, inside, placeOf } from "../src/input/geometry";
import { Buttons, Coalescer } from "../src/input/pointer";

describe("fitted", () => {
  const box = { left: 10, top: 40, width: 1000, height: 500 };

  it.each([
    ["wider than the box", { width: 2000, height: 500 }, { left: 10, top: 165, width: 1000, height: 250 }],
    ["taller than the box", { width: 500, height: 1000 }, { left: 385, top: 40, width: 250, height: 500 }],
    ["of the box's shape", { width: 200, height: 100 }, box],
    ["without a size", { width: 0, height: 0 }, { left: 10, top: 40, width: 0, height: 0 }],
  ])("a picture %s", (_, size, rect) => {
    expect(fitted(box, size)).toEqual(rect);
  });
});

describe("placeOf", () => {
  const rect = { left: 100, top: 50, width: 640, height: 360 };
  const size = { width: 1280, height: 720 };

  /** What the agent makes of it (messages.py). */
  function px(fraction: number, sizePx: number): number {
    return Math.floor((fraction * sizePx) / 65536);
  }

  it("comes back as the same pixel, for every pixel of the display", () => {
    const whole = { left: 0, top: 0, width: 1280, height: 720 };
    for (let x = 0; x < size.width; x += 1) expect(px(placeOf(whole, size, x, 0).x, size.width)).toBe(x);
    for (let y = 0; y < size.height; y += 1) expect(px(placeOf(whole, size, 0, y).y, size.height)).toBe(y);
  });

  it("is the centre of the pixel", () => {
    expect(placeOf(rect, size, 100, 50)).toEqual({ x: 25, y: 45 });
    expect(placeOf(rect, size, 420, 230)).toEqual({ x: 32793, y: 32813 });
  });

  it("clamps to the edges and stays a u16", () => {
    expect(placeOf(rect, size, -5000, -5000)).toEqual(placeOf(rect, size, 100, 50));
    const corner = placeOf(rect, size, 5000, 5000);
    expect(px(corner.x, 1280)).toBe(1279);
    expect(px(corner.y, 720)).toBe(719);
    expect(corner.x).toBeLessThan(65536);
  });

  it("is the origin when there is no picture", () => {
    expect(placeOf({ left: 0, top: 0, width: 0, height: 0 }, { width: 0, height: 0 }, 3, 3)).toEqual({ x: 0, y: 0 });
  });
});

it("inside leaves out the right and bottom edge", () => {
  const rect = { left: 0, top: 0, width: 10, height: 10 };
  expect(inside(rect, 0, 0)).toBe(true);
  expect(inside(rect, 9.9, 9.9)).toBe(true);
  expect(inside(rect, 10, 5)).toBe(false);
  expect(inside(rect, 5, -0.1)).toBe(false);
});

describe("Buttons", () => {
  it("names them as X does", () => {
    const buttons = new Buttons();
    expect(buttons.update(1)).toEqual([{ button: 1, down: true }]);
    expect(buttons.update(1 | 2)).toEqual([{ button: 3, down: true }]);
    expect(buttons.held).toBe((1 << 1) | (1 << 3));
    expect(buttons.update(2 | 4 | 8 | 16)).toEqual([
      { button: 1, down: false },
      { button: 2, down: true },
      { button: 8, down: true },
      { button: 9, down: true },
    ]);
    expect(buttons.update(2 | 4 | 8 | 16)).toEqual([]);
    expect(buttons.update(0).every(({ down }) => !down)).toBe(true);
    expect(buttons.held).toBe(0);
  });

  it("reports no release for what a release-all has let go", () => {
    const buttons = new Buttons();
    buttons.update(1);
    buttons.clear();
    expect(buttons.held).toBe(0);
    expect(buttons.update(0)).toEqual([]);
  });
});

describe("Coalescer", () => {
  const at = (n: number): { x: number; y: number } => ({ x: n, y: n });

  it("sends the first at once and then only the newest, each when due", () => {
    const moves = new Coalescer(4);
    expect(moves.offer(at(1), 100)).toEqual(at(1));
    expect(moves.offer(at(2), 101)).toBeNull();
    expect(moves.offer(at(3), 103)).toBeNull();
    expect(moves.deadline).toBe(104);
    expect(moves.due(103.9)).toBeNull();
    expect(moves.due(104)).toEqual(at(3));
    expect(moves.deadline).toBeNull();
    expect(moves.offer(at(4), 105)).toBeNull();
    expect(moves.due(108)).toEqual(at(4));
    expect(moves.offer(at(5), 200)).toEqual(at(5));
  });

  it("drops a place that a button overtook", () => {
    const moves = new Coalescer(4);
    moves.offer(at(1), 0);
    moves.offer(at(2), 1);
    moves.drop();
    expect(moves.due(10)).toBeNull();
  });
});
