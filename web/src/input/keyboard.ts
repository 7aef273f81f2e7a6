/**
 * Keyboard events to keysyms, for both transports. Pure: no DOM, time is an argument.
 *
 * A key is remembered by its physical code with the keysym of its press, so that its release names the same
 * keysym whatever the modifiers have become meanwhile.
 */
import { keysymOf, keysymOfCodePoint, soleCodePoint, XK } from "./keysym";

/** What of a KeyboardEvent counts here. */
export interface KeyInput {
  readonly key: string;
  /** Physical key; empty for on-screen keyboards and some synthetic events. */
  readonly code: string;
  readonly location: number;
  readonly keyCode: number;
  readonly isComposing: boolean;
  readonly repeat: boolean;
  readonly metaKey: boolean;
}

export type Platform = "mac" | "windows" | "other";

export type KeyOp =
  /** A press of a key that is down already is a repeat. */
  | { readonly op: "key"; readonly keysym: number; readonly down: boolean }
  | { readonly op: "text"; readonly text: string }
  /** Nothing is held any more; `keysyms` were. */
  | { readonly op: "release-all"; readonly keysyms: readonly number[] };

export interface Outcome {
  readonly ops: readonly KeyOp[];
  /** Keep the browser from acting on the event. False where the browser must compose text from it. */
  readonly prevent: boolean;
}

/** How long a Windows ControlLeft is kept back, since it may be the first half of AltGr, in ms. */
const ALTGR_WAIT_MS = 60;
const PASSED: Outcome = { ops: [], prevent: false };
const SWALLOWED: Outcome = { ops: [], prevent: true };

/** Windows reports only a press, or only a release, of these by turns. */
const JAPANESE_TOGGLES = new Set(["Zenkaku", "Hankaku", "Romaji", "Hiragana", "Katakana", "Alphanumeric"]);
/** The browser or its input method makes text of these; it arrives as text. */
const COMPOSED = new Set(["Process", "Dead", "Compose"]);
const LONE_SURROGATE = /^[\ud800-\udfff]$/;
const MODIFIER_CODE = /^(Shift|Control|Alt|Meta|OS)(Left|Right)$/;
/** VK_PROCESSKEY: the input method has the key (UI Events, legacy keyCode). */
const KEY_CODE_PROCESS = 229;

export class Keyboard {
  readonly #held = new Map<string, number>();
  #controlSince: number | null = null;

  constructor(private readonly platform: Platform) {}

  /** Keysyms now down, oldest first, each once. */
  held(): number[] {
    return [...new Set(this.#held.values())];
  }

  /** When {@link due} wants to be called, in the clock of `now`; null when it does not. */
  get deadline(): number | null {
    return this.#controlSince === null ? null : this.#controlSince + ALTGR_WAIT_MS;
  }

  /** Sends what was kept back until now. */
  due(now: number): KeyOp[] {
    return this.deadline !== null && now >= this.deadline ? this.#sendControl() : [];
  }

  down(event: KeyInput, now: number): Outcome {
    const pending = this.#settleControl(event);
    if (isComposed(event)) return { ops: pending, prevent: false };

    const keysym = this.#keysymOf(event);
    if (keysym === null) {
      // A key that gives several characters at once (some layouts, some emoji); a named key is plain ASCII.
      const ops: KeyOp[] = /^[\u0020-\u007f]*$/.test(event.key) ? [] : [{ op: "text", text: event.key }];
      return { ops: [...pending, ...ops], prevent: true };
    }
    if (this.platform === "windows" && event.code === "ControlLeft" && !event.repeat && !this.#held.has("ControlLeft")) {
      this.#controlSince = now;
      return { ops: pending, prevent: true };
    }
    return { ops: [...pending, ...this.#press(event, keysym)], prevent: true };
  }

  up(event: KeyInput): Outcome {
    const pending = event.code === "ControlLeft" ? this.#sendControl() : [];
    const ops = [...pending, ...this.#release(event.code)];
    // Windows reports one release when both shifts are let go.
    if (this.platform === "windows" && event.key === "Shift") {
      ops.push(...this.#release("ShiftLeft"), ...this.#release("ShiftRight"));
    }
    // A Mac reports no release of the other keys while Command is down.
    if (this.platform === "mac" && event.key === "Meta") {
      for (const code of [...this.#held.keys()]) if (!MODIFIER_CODE.test(code)) ops.push(...this.#release(code));
    }
    if (ops.length > 0) return { ops, prevent: true };
    return isComposed(event) ? PASSED : SWALLOWED;
  }

  /** Text that no key press stands for: an input method, an on-screen keyboard, a dead key's outcome. */
  text(text: string): KeyOp[] {
    const ops = this.#sendControl();
    let plain = "";
    for (const given of text.replaceAll("\r\n", "\n")) {
      // Half a surrogate pair has no UTF-8.
      const char = LONE_SURROGATE.test(given) ? "\ufffd" : given;
      const codePoint = char.codePointAt(0) ?? 0;
      if (codePoint >= 0x20 && codePoint !== 0x7f) {
        plain += char;
        continue;
      }
      if (plain !== "") ops.push({ op: "text", text: plain });
      plain = "";
      ops.push(...tap(keysymOfCodePoint(codePoint)));
    }
    if (plain !== "") ops.push({ op: "text", text: plain });
    return ops;
  }

  /** The window lost the keyboard: releases after this would never be seen. */
  releaseAll(): KeyOp[] {
    const keysyms = this.held();
    this.#held.clear();
    this.#controlSince = null;
    return [{ op: "release-all", keysyms }];
  }

  #keysymOf(event: KeyInput): number | null {
    const keysym = keysymOf(event.key, event.location);
    if (this.platform !== "mac") return keysym;
    switch (keysym) {
      // Option makes characters on a Mac: sent as Alt it would turn each of them into a shortcut.
      case XK.Alt_L:
      case XK.Alt_R:
        return XK.ISO_Level3_Shift;
      // Command sits where Alt does, and the guest would have no Alt otherwise.
      case XK.Super_L:
        return XK.Alt_L;
      case XK.Super_R:
        return XK.Super_L;
      default:
        return keysym;
    }
  }

  #press(event: KeyInput, keysym: number): KeyOp[] {
    // Without a physical key the release cannot be matched; a Mac reports none while Command is down.
    const lonely = event.code === "" || (this.platform === "windows" && JAPANESE_TOGGLES.has(event.key));
    const muted = this.platform === "mac" && event.metaKey && event.key !== "Meta" && !isModifier(event.key);
    if (lonely || muted) return tap(keysym);

    const before = this.#held.get(event.code);
    // A repeat is passed on: the agent keeps the guest's X server from repeating by its own clock. One of a
    // modifier means nothing.
    if (before === keysym) return MODIFIER_CODE.test(event.code) ? [] : [{ op: "key", keysym, down: true }];
    // Its release was missed, or the modifiers changed while it repeats.
    const ops = before === undefined ? [] : this.#release(event.code);
    this.#held.set(event.code, keysym);
    return [...ops, { op: "key", keysym, down: true }];
  }

  #release(code: string): KeyOp[] {
    const keysym = this.#held.get(code);
    if (keysym === undefined) return [];
    this.#held.delete(code);
    // Another key holds the same keysym (two keys of one character): it stays down until both are up.
    for (const other of this.#held.values()) if (other === keysym) return [];
    return [{ op: "key", keysym, down: false }];
  }

  /** Windows sends AltGr as ControlLeft and AltRight; that ControlLeft must not reach the guest. */
  #settleControl(event: KeyInput): KeyOp[] {
    if (this.#controlSince === null) return [];
    if (event.key === "AltGraph") {
      this.#controlSince = null;
      return [];
    }
    return this.#sendControl();
  }

  #sendControl(): KeyOp[] {
    if (this.#controlSince === null) return [];
    this.#controlSince = null;
    this.#held.set("ControlLeft", XK.Control_L);
    return [{ op: "key", keysym: XK.Control_L, down: true }];
  }
}

function isComposed(event: KeyInput): boolean {
  if (event.isComposing || COMPOSED.has(event.key)) return true;
  // Android names no key: its text arrives as an input event. A real character (an emoji) is still a key.
  if (event.key === "Unidentified") return true;
  return event.keyCode === KEY_CODE_PROCESS && soleCodePoint(event.key) === null;
}

function isModifier(key: string): boolean {
  return key === "Shift" || key === "Control" || key === "Alt" || key === "AltGraph";
}

function tap(keysym: number): KeyOp[] {
  return [
    { op: "key", keysym, down: true },
    { op: "key", keysym, down: false },
  ];
}
