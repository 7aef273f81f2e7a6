import { describe, expect, it } from "vitest";
import { displayFor, STILL_MS, WindowSize } from "../src/session/window_size";

const WINDOW = { width: 1001, height: 701 };
const DISPLAY = { width: 1000, height: 700 };

function active(): WindowSize {
  const size = new WindowSize();
  size.setActive(true, 0);
  return size;
}

describe("displayFor", () => {
  it.each([
    [1280, 720, 1280, 720],
    [1001, 701, 1000, 700],
    [1000.9, 700.5, 1000, 700],
    [100, 100, 320, 240],
    [10_000, 1000, 3840, 1000],
    [5000, 5000, 3840, 2160],
    [2160, 5000, 2160, 3840],
  ])("%d x %d becomes %d x %d", (width, height, wide, high) => {
    expect(displayFor({ width, height })).toEqual({ width: wide, height: high });
  });
});

describe("WindowSize", () => {
  it("asks once the window has kept still", () => {
    const size = active();
    size.resized({ width: 900, height: 700 }, 0);
    size.resized(WINDOW, 100);
    expect(size.deadline).toBe(100 + STILL_MS);
    expect(size.due(100 + STILL_MS - 1)).toBeNull();
    expect(size.due(100 + STILL_MS)).toEqual(DISPLAY);
    expect(size.deadline).toBeNull();
  });

  it("does nothing for one who only watches, and takes the window as it is when control comes", () => {
    const size = new WindowSize();
    size.resized(WINDOW, 0);
    expect(size.deadline).toBeNull();
    expect(size.due(10_000)).toBeNull();
    size.setActive(true, 20_000);
    expect(size.due(20_000)).toEqual(DISPLAY);
    size.answered(true);
    // Control went and came back: another may have set the display.
    size.setActive(false, 21_000);
    size.setActive(true, 22_000);
    expect(size.due(22_000)).toEqual(DISPLAY);
  });

  it("has one call under way, and the last window follows", () => {
    const size = active();
    size.resized(WINDOW, 0);
    size.due(STILL_MS);
    size.resized({ width: 800, height: 600 }, 300);
    expect(size.deadline).toBeNull();
    expect(size.due(1000)).toBeNull();
    size.answered(true);
    expect(size.due(1000)).toEqual({ width: 800, height: 600 });
  });

  it("does not ask again for what it has, nor hammer a gateway that refuses", () => {
    const size = active();
    size.resized(WINDOW, 0);
    size.due(1000);
    size.answered(true);
    size.resized({ width: 1000, height: 700 }, 2000);
    expect(size.due(3000)).toBeNull();
    size.resized({ width: 640, height: 480 }, 4000);
    expect(size.due(5000)).not.toBeNull();
    size.answered(false);
    expect(size.deadline).toBeNull();
    size.resized({ width: 640, height: 480 }, 6000);
    expect(size.due(7000)).toEqual({ width: 640, height: 480 });
  });
});
