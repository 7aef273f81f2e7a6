/**
 * Keysyms (X11 protocol, appendix A; X.Org keysymdef.h) of the browser's keys. Pure.
 *
 * A printable key is named by the character it gives, so any layout of the viewer's works whatever layout
 * the guest has.
 */

/** `KeyboardEvent.location`. */
export const LOCATION = { standard: 0, left: 1, right: 2, numpad: 3 } as const;

export const XK = {
  BackSpace: 0xff08,
  Tab: 0xff09,
  Return: 0xff0d,
  Escape: 0xff1b,
  Shift_L: 0xffe1,
  Shift_R: 0xffe2,
  Control_L: 0xffe3,
  Control_R: 0xffe4,
  Alt_L: 0xffe9,
  Alt_R: 0xffea,
  Super_L: 0xffeb,
  Super_R: 0xffec,
  ISO_Level3_Shift: 0xfe03,
  Delete: 0xffff,
} as const;

/** KeyboardEvent.key (UI Events KeyboardEvent key Values) to keysym, or to one for left and one for right. */
const NAMED = new Map<string, number | readonly [left: number, right: number]>([
  ["Alt", [XK.Alt_L, XK.Alt_R]],
  ["AltGraph", XK.ISO_Level3_Shift],
  ["Control", [XK.Control_L, XK.Control_R]],
  ["Meta", [XK.Super_L, XK.Super_R]],
  ["OS", [XK.Super_L, XK.Super_R]],
  ["Shift", [XK.Shift_L, XK.Shift_R]],
  ["Hyper", 0xffed],
  ["Super", [XK.Super_L, XK.Super_R]],
  ["ScrollLock", 0xff14],
  ["Enter", XK.Return],
  ["Tab", XK.Tab],
  ["ArrowLeft", 0xff51],
  ["ArrowUp", 0xff52],
  ["ArrowRight", 0xff53],
  ["ArrowDown", 0xff54],
  ["Home", 0xff50],
  ["PageUp", 0xff55],
  ["PageDown", 0xff56],
  ["End", 0xff57],
  ["Backspace", XK.BackSpace],
  ["Clear", 0xff0b],
  ["Delete", XK.Delete],
  ["Insert", 0xff63],
  ["Redo", 0xff66],
  ["Undo", 0xff65],
  ["Cancel", 0xff69],
  ["ContextMenu", 0xff67],
  ["Escape", XK.Escape],
  ["Execute", 0xff62],
  ["Find", 0xff68],
  ["Help", 0xff6a],
  ["Pause", 0xff13],
  ["Select", 0xff60],
  ["PrintScreen", 0xff61],
  ["ModeChange", 0xff7e],
  ["CodeInput", 0xff37],
  ["SingleCandidate", 0xff3c],
  ["AllCandidates", 0xff3d],
  ["PreviousCandidate", 0xff3e],
  // Japanese and Korean input keys.
  ["Convert", 0xff23],
  ["NonConvert", 0xff22],
  ["KanjiMode", 0xff21],
  ["Romaji", 0xff24],
  ["Hiragana", 0xff25],
  ["Katakana", 0xff26],
  ["HiraganaKatakana", 0xff27],
  ["Zenkaku", 0xff28],
  ["Hankaku", 0xff29],
  ["ZenkakuHankaku", 0xff2a],
  ["KanaMode", 0xff2d],
  ["Alphanumeric", 0xff30],
  ["Eisu", 0xff30],
  ["HangulMode", 0xff31],
  ["HanjaMode", 0xff34],
  // XF86keysym.h.
  ["BrightnessUp", 0x1008ff02],
  ["BrightnessDown", 0x1008ff03],
  ["AudioVolumeDown", 0x1008ff11],
  ["AudioVolumeMute", 0x1008ff12],
  ["AudioVolumeUp", 0x1008ff13],
  ["MediaPlayPause", 0x1008ff14],
  ["MediaPlay", 0x1008ff14],
  ["MediaStop", 0x1008ff15],
  ["MediaTrackPrevious", 0x1008ff16],
  ["MediaTrackNext", 0x1008ff17],
  ["BrowserHome", 0x1008ff18],
  ["LaunchMail", 0x1008ff19],
  ["BrowserSearch", 0x1008ff1b],
  ["BrowserBack", 0x1008ff26],
  ["BrowserForward", 0x1008ff27],
  ["BrowserStop", 0x1008ff28],
  ["BrowserRefresh", 0x1008ff29],
  ["BrowserFavorites", 0x1008ff30],
  ["MediaPause", 0x1008ff31],
  ["Copy", 0x1008ff57],
  ["Cut", 0x1008ff58],
  ["Paste", 0x1008ff6d],
]);

const NUMPAD = new Map<string, number>([
  ["Enter", 0xff8d],
  ["Home", 0xff95],
  ["ArrowLeft", 0xff96],
  ["ArrowUp", 0xff97],
  ["ArrowRight", 0xff98],
  ["ArrowDown", 0xff99],
  ["PageUp", 0xff9a],
  ["PageDown", 0xff9b],
  ["End", 0xff9c],
  ["Clear", 0xff9d],
  ["Insert", 0xff9e],
  ["Delete", 0xff9f],
  ["=", 0xffbd],
  ["*", 0xffaa],
  ["+", 0xffab],
  [",", 0xffac],
  ["-", 0xffad],
  [".", 0xffae],
  ["/", 0xffaf],
]);

const FUNCTION_KEY = /^F([1-9]|[12][0-9]|3[0-5])$/;

/** Keysym of a character: Latin-1 as it is, controls as their keys, all else by the Unicode rule. */
export function keysymOfCodePoint(codePoint: number): number {
  switch (codePoint) {
    case 0x08:
      return XK.BackSpace;
    case 0x09:
      return XK.Tab;
    case 0x0a:
    case 0x0d:
      return XK.Return;
    case 0x1b:
      return XK.Escape;
    case 0x7f:
      return XK.Delete;
  }
  return codePoint >= 0x100 ? 0x0100_0000 | codePoint : codePoint;
}

/** The one code point a string is, or null when it is empty or longer. */
export function soleCodePoint(text: string): number | null {
  const codePoint = text.codePointAt(0);
  if (codePoint === undefined || String.fromCodePoint(codePoint).length !== text.length) return null;
  return codePoint;
}

/**
 * Keysym of a key event, by `key` and `location`.
 *
 * Returns null for a key that has none (dead keys, unnamed keys) and for Caps Lock and Num Lock: their
 * state stays with the viewer's keyboard, whose characters arrive already resolved, so the guest's must
 * not toggle a second time.
 */
export function keysymOf(key: string, location: number): number | null {
  if (location === LOCATION.numpad) {
    const pad = NUMPAD.get(key);
    if (pad !== undefined) return pad;
    if (/^[0-9]$/.test(key)) return 0xffb0 + Number(key);
  }
  const codePoint = soleCodePoint(key);
  if (codePoint !== null) return keysymOfCodePoint(codePoint);
  const named = NAMED.get(key);
  if (typeof named === "number") return named;
  if (named !== undefined) return location === LOCATION.right ? named[1] : named[0];
  const fn = FUNCTION_KEY.exec(key);
  return fn === null ? null : 0xffbd + Number(fn[1]);
}
