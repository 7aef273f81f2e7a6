import { describe, expect, it } from "vitest";
import { keysymOf, keysymOfCodePoint, LOCATION, soleCodePoint } from "../src/input/keysym";

describe("keysymOf", () => {
  it.each([
    ["a", 0x61],
    ["A", 0x41],
    [" ", 0x20],
    ["ÿ", 0xff],
    ["é", 0xe9],
    ["Ā", 0x0100_0100],
    ["ж", 0x0100_0436],
    ["あ", 0x0100_3042],
    ["€", 0x0100_20ac],
    ["😀", 0x0101_f600],
    ["Enter", 0xff0d],
    ["Backspace", 0xff08],
    ["Delete", 0xffff],
    ["F1", 0xffbe],
    ["F12", 0xffc9],
    ["F35", 0xffe0],
    ["AltGraph", 0xfe03],
    ["ArrowUp", 0xff52],
    ["ZenkakuHankaku", 0xff2a],
  ])("%s", (key, keysym) => {
    expect(keysymOf(key, LOCATION.standard)).toBe(keysym);
  });

  it.each([
    ["Shift", 0xffe1, 0xffe2],
    ["Control", 0xffe3, 0xffe4],
    ["Alt", 0xffe9, 0xffea],
    ["Meta", 0xffeb, 0xffec],
  ])("%s on the left and on the right", (key, left, right) => {
    expect(keysymOf(key, LOCATION.left)).toBe(left);
    expect(keysymOf(key, LOCATION.right)).toBe(right);
  });

  it.each([
    ["7", 0xffb7],
    ["Home", 0xff95],
    ["Enter", 0xff8d],
    ["+", 0xffab],
    ["Delete", 0xff9f],
  ])("%s on the number pad", (key, keysym) => {
    expect(keysymOf(key, LOCATION.numpad)).toBe(keysym);
  });

  it.each(["Dead", "Unidentified", "Process", "CapsLock", "NumLock", "F0", "F36", "Fn", ""])("%s has none", (key) => {
    expect(keysymOf(key, LOCATION.standard)).toBeNull();
  });
});

describe("keysymOfCodePoint", () => {
  it.each([
    [0x0a, 0xff0d],
    [0x0d, 0xff0d],
    [0x09, 0xff09],
    [0x08, 0xff08],
    [0x1b, 0xff1b],
    [0x7f, 0xffff],
  ])("control 0x%s is a key", (codePoint, keysym) => {
    expect(keysymOfCodePoint(codePoint)).toBe(keysym);
  });
});

describe("soleCodePoint", () => {
  it("takes one code point and nothing else", () => {
    expect(soleCodePoint("😀")).toBe(0x1f600);
    expect(soleCodePoint("ab")).toBeNull();
    expect(soleCodePoint("e\u0301")).toBeNull();
    expect(soleCodePoint("")).toBeNull();
  });
});
