import { beforeEach, describe, expect, it } from "vitest";
import { Keyboard } from "../src/input/keyboard";
import type { KeyInput, KeyOp, Outcome } from "../src/input/keyboard";

function key(name: string, code: string, more: Partial<KeyInput> = {}): KeyInput {
  return { key: name, code, location: 0, keyCode: 0, isComposing: false, repeat: false, metaKey: false, ...more };
}

/** "+61" down, "-61" up, a string in quotes for text, "!61,62" for a release of all. */
function brief(ops: readonly KeyOp[]): string[] {
  return ops.map((op) => {
    switch (op.op) {
      case "key":
        return `${op.down ? "+" : "-"}${op.keysym.toString(16)}`;
      case "text":
        return JSON.stringify(op.text);
      case "release-all":
        return `!${op.keysyms.map((keysym) => keysym.toString(16)).join(",")}`;
    }
  });
}

function of(outcome: Outcome): string[] {
  return brief(outcome.ops);
}

const SHIFT = key("Shift", "ShiftLeft", { location: 1 });

describe("any platform", () => {
  let keyboard: Keyboard;
  beforeEach(() => {
    keyboard = new Keyboard("other");
  });

  it("presses and releases, and keeps the browser out of it", () => {
    expect(keyboard.down(key("a", "KeyA"), 0)).toEqual({
      ops: [{ op: "key", keysym: 0x61, down: true }],
      prevent: true,
    });
    expect(keyboard.held()).toEqual([0x61]);
    expect(of(keyboard.up(key("a", "KeyA")))).toEqual(["-61"]);
    expect(keyboard.held()).toEqual([]);
  });

  it("releases what was pressed, though Shift went up first", () => {
    expect(of(keyboard.down(SHIFT, 0))).toEqual(["+ffe1"]);
    expect(of(keyboard.down(key("A", "KeyA"), 0))).toEqual(["+41"]);
    expect(of(keyboard.up(SHIFT))).toEqual(["-ffe1"]);
    expect(of(keyboard.up(key("a", "KeyA")))).toEqual(["-41"]);
  });

  it("passes repeats on, but not those of a modifier", () => {
    keyboard.down(key("a", "KeyA"), 0);
    keyboard.down(SHIFT, 0);
    expect(of(keyboard.down(key("a", "KeyA", { repeat: true }), 1))).toEqual(["+61"]);
    expect(of(keyboard.down({ ...SHIFT, repeat: true }, 1))).toEqual([]);
  });

  it("lets go of the old keysym when a repeat has another", () => {
    keyboard.down(key("A", "KeyA"), 0);
    expect(of(keyboard.down(key("a", "KeyA", { repeat: true }), 1))).toEqual(["-41", "+61"]);
    expect(of(keyboard.up(key("a", "KeyA")))).toEqual(["-61"]);
  });

  it("releases a keysym that two keys hold when both are up", () => {
    keyboard.down(key("Enter", "Enter"), 0);
    keyboard.down(key("Enter", "KeyQ"), 0);
    expect(keyboard.held()).toEqual([0xff0d]);
    expect(of(keyboard.up(key("Enter", "Enter")))).toEqual([]);
    expect(of(keyboard.up(key("Enter", "KeyQ")))).toEqual(["-ff0d"]);
  });

  it("ignores a release without a press", () => {
    expect(keyboard.up(key("a", "KeyA"))).toEqual({ ops: [], prevent: true });
  });

  it("taps a key that has no physical code", () => {
    expect(of(keyboard.down(key("я", ""), 0))).toEqual(["+100044f", "-100044f"]);
    expect(of(keyboard.up(key("я", "")))).toEqual([]);
    expect(keyboard.held()).toEqual([]);
  });

  it("takes an emoji's key, with and without a code", () => {
    expect(of(keyboard.down(key("😀", ""), 0))).toEqual(["+101f600", "-101f600"]);
    expect(of(keyboard.down(key("😀", "KeyE", { keyCode: 229 }), 0))).toEqual(["+101f600"]);
    expect(of(keyboard.up(key("😀", "KeyE")))).toEqual(["-101f600"]);
  });

  it("sends a key of several characters as text", () => {
    expect(of(keyboard.down(key("👩‍💻", "KeyE"), 0))).toEqual(['"👩‍💻"']);
  });

  it.each([
    ["a dead key", key("Dead", "BracketLeft")],
    ["the input method's key", key("Process", "KeyA", { keyCode: 229 })],
    ["a key while composing", key("a", "KeyA", { isComposing: true })],
    ["Android's unnamed key", key("Unidentified", "", { keyCode: 229 })],
  ])("leaves %s to the browser", (_, event) => {
    expect(keyboard.down(event, 0)).toEqual({ ops: [], prevent: false });
    expect(keyboard.up(event)).toEqual({ ops: [], prevent: false });
  });

  it("releases a key whose release comes while composing", () => {
    keyboard.down(key("a", "KeyA"), 0);
    expect(of(keyboard.up(key("a", "KeyA", { isComposing: true })))).toEqual(["-61"]);
  });

  it("keeps locks to itself", () => {
    expect(keyboard.down(key("CapsLock", "CapsLock"), 0)).toEqual({ ops: [], prevent: true });
  });

  it("releases all, and then knows nothing held", () => {
    keyboard.down(SHIFT, 0);
    keyboard.down(key("A", "KeyA"), 0);
    expect(brief(keyboard.releaseAll())).toEqual(["!ffe1,41"]);
    expect(brief(keyboard.releaseAll())).toEqual(["!"]);
    expect(of(keyboard.up(key("a", "KeyA")))).toEqual([]);
  });

  it("turns controls in text into keys", () => {
    expect(brief(keyboard.text("ab\r\nc\td\n"))).toEqual([
      '"ab"', "+ff0d", "-ff0d", '"c"', "+ff09", "-ff09", '"d"', "+ff0d", "-ff0d",
    ]);
    expect(brief(keyboard.text("\ud83dx"))).toEqual(['"\ufffdx"']);
    expect(brief(keyboard.text(""))).toEqual([]);
  });
});

describe("Windows", () => {
  const CONTROL = key("Control", "ControlLeft", { location: 1 });
  const ALTGR = key("AltGraph", "AltRight", { location: 2 });
  let keyboard: Keyboard;
  beforeEach(() => {
    keyboard = new Keyboard("windows");
  });

  it("drops the ControlLeft that belongs to AltGr", () => {
    expect(of(keyboard.down(CONTROL, 100))).toEqual([]);
    expect(of(keyboard.down(ALTGR, 101))).toEqual(["+fe03"]);
    expect(of(keyboard.down(key("@", "KeyQ"), 200))).toEqual(["+40"]);
    expect(of(keyboard.up(key("@", "KeyQ")))).toEqual(["-40"]);
    expect(of(keyboard.up(CONTROL))).toEqual([]);
    expect(of(keyboard.up(ALTGR))).toEqual(["-fe03"]);
    expect(keyboard.deadline).toBeNull();
  });

  it("sends a real Control before the key that follows it", () => {
    expect(of(keyboard.down(CONTROL, 100))).toEqual([]);
    expect(of(keyboard.down(key("c", "KeyC"), 110))).toEqual(["+ffe3", "+63"]);
  });

  it("sends a real Control when its time is up", () => {
    keyboard.down(CONTROL, 100);
    const deadline = keyboard.deadline ?? 0;
    expect(brief(keyboard.due(deadline - 1))).toEqual([]);
    expect(brief(keyboard.due(deadline))).toEqual(["+ffe3"]);
    expect(of(keyboard.down({ ...CONTROL, repeat: true }, 500))).toEqual([]);
    expect(of(keyboard.up(CONTROL))).toEqual(["-ffe3"]);
  });

  it("sends a tapped Control whole", () => {
    keyboard.down(CONTROL, 100);
    expect(of(keyboard.up(CONTROL))).toEqual(["+ffe3", "-ffe3"]);
  });

  it("forgets a Control kept back when all is released", () => {
    keyboard.down(CONTROL, 100);
    keyboard.releaseAll();
    expect(keyboard.deadline).toBeNull();
  });

  it("releases both shifts at the one release that Windows reports", () => {
    keyboard.down(SHIFT, 0);
    keyboard.down(key("Shift", "ShiftRight", { location: 2 }), 0);
    expect(of(keyboard.up(key("Shift", "ShiftRight", { location: 2 })))).toEqual(["-ffe2", "-ffe1"]);
  });

  it("taps Japanese keys that are never released", () => {
    expect(of(keyboard.down(key("Hiragana", "KanaMode"), 0))).toEqual(["+ff25", "-ff25"]);
    expect(keyboard.held()).toEqual([]);
  });
});

describe("Mac", () => {
  let keyboard: Keyboard;
  beforeEach(() => {
    keyboard = new Keyboard("mac");
  });

  it("does not send Option as Alt, which would make a shortcut of each character", () => {
    expect(of(keyboard.down(key("Alt", "AltLeft", { location: 1 }), 0))).toEqual(["+fe03"]);
    expect(of(keyboard.down(key("@", "KeyL"), 0))).toEqual(["+40"]);
  });

  it("sends Command as Alt and taps what goes with it, whose release never comes", () => {
    expect(of(keyboard.down(key("Meta", "MetaLeft", { location: 1, metaKey: true }), 0))).toEqual(["+ffe9"]);
    expect(of(keyboard.down(key("f", "KeyF", { metaKey: true }), 0))).toEqual(["+66", "-66"]);
    expect(of(keyboard.up(key("Meta", "MetaLeft", { location: 1 })))).toEqual(["-ffe9"]);
    expect(keyboard.held()).toEqual([]);
  });

  it("releases what was held before Command was pressed", () => {
    keyboard.down(SHIFT, 0);
    keyboard.down(key("A", "KeyA"), 0);
    keyboard.down(key("Meta", "MetaLeft", { location: 1, metaKey: true }), 0);
    expect(of(keyboard.up(key("Meta", "MetaLeft", { location: 1 })))).toEqual(["-ffe9", "-41"]);
    expect(keyboard.held()).toEqual([0xffe1]);
  });
});
