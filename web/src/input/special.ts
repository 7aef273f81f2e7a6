/** Keys that a page's own buttons press: chords that browsers and systems keep for themselves, and modifiers that stick. Pure. */
import type { KeyOp } from "./keyboard";
import { keysymOfCodePoint, XK } from "./keysym";

/** Keys by the names that words/en.ts has labels for. */
export const KEYSYMS = {
  ctrl: XK.Control_L,
  alt: XK.Alt_L,
  shift: XK.Shift_L,
  super: XK.Super_L,
  esc: XK.Escape,
  tab: XK.Tab,
  del: XK.Delete,
  print: 0xff61,
  left: 0xff51,
  up: 0xff52,
  right: 0xff53,
  down: 0xff54,
  f4: 0xffc1,
  f11: 0xffc8,
} as const;
export type KeyName = keyof typeof KEYSYMS;

export const STICKY: readonly KeyName[] = ["ctrl", "alt", "shift", "super"];
export const CHORDS: readonly (readonly KeyName[])[] = [
  ["ctrl", "alt", "del"],
  ["alt", "tab"],
  ["alt", "f4"],
  ["f11"],
  ["print"],
];
export const SINGLES: readonly (readonly KeyName[])[] = [["esc"], ["tab"], ["left"], ["up"], ["down"], ["right"]];

/** All down in this order, and up again in the other. */
export function chordOps(keys: readonly KeyName[]): KeyOp[] {
  const press = (down: boolean) => (name: KeyName): KeyOp => ({ op: "key", keysym: KEYSYMS[name], down });
  return [...keys.map(press(true)), ...[...keys].reverse().map(press(false))];
}

/**
 * What the keyboard says while modifiers stick: text is keys, since that of an on-screen keyboard would go past the
 * modifiers, and a release of all is one of theirs too.
 */
export function asKeys(ops: readonly KeyOp[], stuck: ReadonlySet<KeyName>): KeyOp[] {
  return ops.flatMap((op): KeyOp[] => {
    if (op.op === "text") return Array.from(op.text).flatMap(tapOf);
    if (op.op === "key") return [op];
    return [{ op: "release-all", keysyms: [...op.keysyms, ...[...stuck].map((name) => KEYSYMS[name])] }];
  });
}

function tapOf(char: string): KeyOp[] {
  const keysym = keysymOfCodePoint(char.codePointAt(0) ?? 0);
  return [
    { op: "key", keysym, down: true },
    { op: "key", keysym, down: false },
  ];
}
