import { describe, expect, it } from "vitest";
import { BarState, DWELL_MS, LINGER_MS, LONG_MS } from "../src/view/bar_state";
import { Chord } from "../src/view/chord";
import { scrolled } from "../src/view/scale";
import { fileName } from "../src/view/screenshot";

describe("the bar", () => {
  function withPicture(now: number): BarState {
    const bar = new BarState();
    bar.hold("no-picture", false, now);
    return bar;
  }

  it("stays until there is a picture, and a moment longer", () => {
    const bar = new BarState();
    expect([bar.shown(1e9), bar.deadline(1e9)]).toEqual([true, null]);
    bar.hold("no-picture", false, 1000);
    expect([bar.shown(1000), bar.deadline(1000)]).toEqual([true, 1000 + LONG_MS]);
    expect([bar.shown(1000 + LONG_MS), bar.deadline(1000 + LONG_MS)]).toEqual([false, null]);
  });

  it("comes when the pointer rests at the edge, and not when it passes", () => {
    const bar = withPicture(0);
    const now = LONG_MS + 1;
    bar.edge(true, now);
    expect([bar.shown(now), bar.deadline(now)]).toEqual([false, now + DWELL_MS]);
    bar.edge(false, now + 50);
    expect(bar.shown(now + DWELL_MS)).toBe(false);
    bar.edge(true, now + 500);
    bar.edge(true, now + 600);
    expect(bar.shown(now + 500 + DWELL_MS)).toBe(true);
  });

  it("stays while it is used, lingers, and goes", () => {
    const bar = withPicture(0);
    for (const reason of ["hover", "focus", "panel", "pinned"] as const) {
      bar.hold(reason, true, 10_000);
      expect([reason, bar.shown(50_000)]).toEqual([reason, true]);
      bar.hold(reason, false, 50_000);
      expect([reason, bar.shown(50_000 + LINGER_MS - 1), bar.shown(50_000 + LINGER_MS)]).toEqual([reason, true, false]);
    }
  });

  it("goes at once when the person turns to the picture, unless it is pinned", () => {
    const bar = withPicture(0);
    bar.hold("hover", true, 10);
    bar.away();
    expect(bar.shown(11)).toBe(false);
    bar.hold("pinned", true, 12);
    bar.away();
    expect(bar.shown(13)).toBe(true);
  });

  it("is opened and closed by its handle, and shows what is new", () => {
    const bar = withPicture(0);
    const now = LONG_MS + 1;
    bar.toggle(now);
    expect([bar.shown(now), bar.shown(now + LONG_MS)]).toEqual([true, false]);
    bar.toggle(now + 1);
    expect(bar.shown(now + 2)).toBe(false);
    bar.news(now + 3);
    expect(bar.shown(now + 4)).toBe(true);
  });
});

describe("Ctrl+Alt+Shift", () => {
  const key = (name: string, held = ""): Parameters<Chord["down"]>[0] => ({
    key: name,
    ctrlKey: held.includes("c"),
    altKey: held.includes("a"),
    shiftKey: held.includes("s"),
  });

  it("is complete when it is let go", () => {
    const chord = new Chord();
    chord.down(key("Control", "c"));
    chord.down(key("Alt", "ca"));
    expect(chord.up()).toBe(false);
    chord.down(key("Shift", "cas"));
    expect([chord.up(), chord.up()]).toEqual([true, false]);
  });

  it("is none with another key in it, or after the window was left", () => {
    const chord = new Chord();
    chord.down(key("Shift", "cas"));
    chord.down(key("t", "cas"));
    expect(chord.up()).toBe(false);
    chord.down(key("Shift", "cas"));
    chord.forget();
    expect(chord.up()).toBe(false);
  });
});

describe("a screenshot's name", () => {
  it("says of which desktop and when", () => {
    expect(fileName("s1", new Date(2026, 0, 5, 7, 8, 9))).toBe("fenster-s1-20260105-070809.png");
  });
});

describe("a picture that is scrolled", () => {
  it("follows the pointer, and no more than it must", () => {
    expect(scrolled(300, 0, 600)).toBe(0);
    expect(scrolled(590, 0, 600)).toBe(38);
    expect(scrolled(100, 200, 600)).toBe(52);
    expect(scrolled(10, 200, 600)).toBe(0);
  });
});
