/** Keys that the page around the frame has pressed. Pure. */
import type { Keys } from "../../packages/client/src/protocol.js";
import { Keyboard } from "../input/keyboard";
import type { KeyOp } from "../input/keyboard";
import { keysymOf, LOCATION } from "../input/keysym";

/** What to send, or the name that is no key's. */
export function opsOf(keys: readonly Keys[]): KeyOp[] | string {
  const ops: KeyOp[] = [];
  for (const key of keys) {
    if ("text" in key) {
      ops.push(...new Keyboard("other").text(key.text));
      continue;
    }
    const held: number[] = [];
    const shifted = key.chord.includes("Shift");
    for (const name of key.chord) {
      // A keyboard with Shift down names the letter so; "v" would be typed without Shift.
      const given = shifted && name.length === 1 ? name.toUpperCase() : name;
      const keysym = keysymOf(given === "Space" ? " " : given, LOCATION.standard);
      if (keysym === null) return name;
      held.push(keysym);
    }
    ops.push(...held.map((keysym) => ({ op: "key", keysym, down: true }) as const));
    ops.push(...held.reverse().map((keysym) => ({ op: "key", keysym, down: false }) as const));
  }
  return ops;
}
