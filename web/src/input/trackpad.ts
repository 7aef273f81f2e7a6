/**
 * A pointer that fingers push, as on a trackpad, and that a locked mouse pushes: it has a place of its own. Pure.
 *
 * Fingers are turned into fingers at the pointer ({@link Trackpad.down}), so that touch.ts needs to know nothing of it.
 */
import type { Rect } from "./geometry";
import type { Finger, Point } from "./touch";

/** Px of the pointer's way for a px of the finger's. */
export const GAIN = 1.6;

export class RoamingPointer {
  #at: Point | null = null;

  /** Where it is, in client px, inside of `rect`; in its middle until it was moved. */
  at(rect: Rect): Point {
    const { x, y } = this.#at ?? { x: rect.left + rect.width / 2, y: rect.top + rect.height / 2 };
    return { x: clamp(x, rect.left, rect.width), y: clamp(y, rect.top, rect.height) };
  }

  put(at: Point): void {
    this.#at = at;
  }

  by(dx: number, dy: number, rect: Rect): Point {
    const { x, y } = this.at(rect);
    this.#at = { x: clamp(x + dx, rect.left, rect.width), y: clamp(y + dy, rect.top, rect.height) };
    return this.#at;
  }

  forget(): void {
    this.#at = null;
  }
}

export class Trackpad {
  readonly #anchors = new Map<number, { finger: Point; at: Point }>();

  constructor(private readonly pointer: RoamingPointer) {}

  down(finger: Finger, rect: Rect): Finger {
    const at = this.pointer.at(rect);
    this.#anchors.set(finger.id, { finger, at });
    return { id: finger.id, ...at };
  }

  move(finger: Finger, rect: Rect): Finger {
    const anchor = this.#anchors.get(finger.id);
    if (anchor === undefined) return finger;
    const free = {
      x: anchor.at.x + GAIN * (finger.x - anchor.finger.x),
      y: anchor.at.y + GAIN * (finger.y - anchor.finger.y),
    };
    // Two fingers scroll, and may do so beyond the edge.
    if (this.#anchors.size > 1) return { id: finger.id, ...free };
    const at = { x: clamp(free.x, rect.left, rect.width), y: clamp(free.y, rect.top, rect.height) };
    // At the edge, the way back counts at once.
    if (at.x !== free.x || at.y !== free.y) this.#anchors.set(finger.id, { finger, at });
    return { id: finger.id, ...at };
  }

  up(finger: Finger, rect: Rect): Finger {
    const last = this.move(finger, rect);
    this.#anchors.delete(finger.id);
    return last;
  }

  forget(): void {
    this.#anchors.clear();
  }
}

function clamp(value: number, from: number, extent: number): number {
  return Math.min(Math.max(value, from), from + Math.max(0, extent - 1));
}
