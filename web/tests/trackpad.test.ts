import { describe, expect, it } from "vitest";
import { asKeys, chordOps, KEYSYMS } from "../src/input/special";
import { GAIN, RoamingPointer, Trackpad } from "../src/input/trackpad";

const RECT = { left: 100, top: 50, width: 800, height: 400 };

describe("a pointer of its own", () => {
  it("begins in the middle and stays in the picture", () => {
    const pointer = new RoamingPointer();
    expect(pointer.at(RECT)).toEqual({ x: 500, y: 250 });
    pointer.by(10, -20, RECT);
    expect(pointer.at(RECT)).toEqual({ x: 510, y: 230 });
    // Scrolled, it is where it was in the picture.
    expect(pointer.at({ ...RECT, left: -20 })).toEqual({ x: 390, y: 230 });
    pointer.by(5000, -5000, RECT);
    expect(pointer.at(RECT)).toEqual({ x: 899, y: 50 });
    pointer.by(-10, 0, RECT);
    expect(pointer.at(RECT)).toEqual({ x: 889, y: 50 });
    // The window became smaller meanwhile.
    expect(pointer.at({ ...RECT, width: 200 })).toEqual({ x: 299, y: 50 });
  });
});

describe("a trackpad", () => {
  it("moves the pointer from where it is, wherever the finger is put", () => {
    const pointer = new RoamingPointer();
    const pad = new Trackpad(pointer);
    expect(pad.down({ id: 1, x: 900, y: 700 }, RECT)).toEqual({ id: 1, x: 500, y: 250 });
    expect(pad.move({ id: 1, x: 910, y: 690 }, RECT)).toEqual({ id: 1, x: 500 + 10 * GAIN, y: 250 - 10 * GAIN });
    pointer.put({ x: 516, y: 234 }, RECT);
    pad.up({ id: 1, x: 910, y: 690 }, RECT);
    expect(pad.down({ id: 2, x: 0, y: 0 }, RECT)).toEqual({ id: 2, x: 516, y: 234 });
  });

  it("turns back at once at the edge", () => {
    const pad = new Trackpad(new RoamingPointer());
    pad.down({ id: 1, x: 0, y: 0 }, RECT);
    expect(pad.move({ id: 1, x: 1000, y: 0 }, RECT).x).toBe(899);
    expect(pad.move({ id: 1, x: 990, y: 0 }, RECT).x).toBe(899 - 10 * GAIN);
  });

  it("goes on where it is in a picture that scrolls under it", () => {
    const pad = new Trackpad(new RoamingPointer());
    pad.down({ id: 1, x: 0, y: 0 }, RECT);
    pad.move({ id: 1, x: 10, y: 0 }, RECT);
    expect(pad.move({ id: 1, x: 20, y: 0 }, { ...RECT, left: 60 }).x).toBe(460 + 20 * GAIN);
  });

  it("lets two fingers scroll beyond the edge", () => {
    const pad = new Trackpad(new RoamingPointer());
    pad.down({ id: 1, x: 0, y: 0 }, RECT);
    pad.down({ id: 2, x: 50, y: 0 }, RECT);
    expect(pad.move({ id: 1, x: 0, y: -600 }, RECT).y).toBe(250 - 600 * GAIN);
  });
});

describe("keys of the page", () => {
  it("are pressed in order, and let go in the other", () => {
    expect(chordOps(["ctrl", "alt", "del"])).toEqual([
      { op: "key", keysym: 0xffe3, down: true },
      { op: "key", keysym: 0xffe9, down: true },
      { op: "key", keysym: 0xffff, down: true },
      { op: "key", keysym: 0xffff, down: false },
      { op: "key", keysym: 0xffe9, down: false },
      { op: "key", keysym: 0xffe3, down: false },
    ]);
  });

  it("make keys of text while one sticks, and let it go with the rest", () => {
    const ops = asKeys([{ op: "text", text: "c" }, { op: "release-all", keysyms: [1] }], new Set(["ctrl"]));
    expect(ops).toEqual([
      { op: "key", keysym: 0x63, down: true },
      { op: "key", keysym: 0x63, down: false },
      { op: "release-all", keysyms: [1, KEYSYMS.ctrl] },
    ]);
  });
});
