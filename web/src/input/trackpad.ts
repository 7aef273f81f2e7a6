/**
 * A pointer that fingers push, as on a trackpad, and that a locked mouse pushes: it has a place of its own. Pure.
 *
 * Fingers are turned into fingers at the pointer ({@link Trackpad.down}), so that touch.ts needs to know nothing of it.
 */
import type { Rect } from "./geometry";
import type { Finger, Point } from "./touch";

/** Px of the pointer's way for a px of the finger's. */
export const GAIN = 1.6;

/** All places are in client px; what is kept is in px of the picture, which may be scrolled meanwhile. */
export class RoamingPointer {
  #at: Point | null = null;

  /** Where it is, inside of the picture; in its middle until it was moved. */
  at(picture: Rect): Point {
    return outward(clamped(this.#at ?? { x: picture.width / 2, y: picture.height / 2 }, picture), picture);
  }

  put(at: Point, picture: Rect): void {
    this.#at = inward(at, picture);
  }

  by(dx: number, dy: number, picture: Rect): void {
    const { x, y } = this.at(picture);
    this.put({ x: x + dx, y: y + dy }, picture);
    this.#at = clamped(this.#at ?? { x: 0, y: 0 }, picture);
  }
}

export class Trackpad {
  readonly #anchors = new Map<number, { finger: Point; at: Point }>();

  constructor(private readonly pointer: RoamingPointer) {}

  down(finger: Finger, picture: Rect): Finger {
    const at = this.pointer.at(picture);
    this.#anchors.set(finger.id, { finger, at: inward(at, picture) });
    return { id: finger.id, ...at };
  }

  move(finger: Finger, picture: Rect): Finger {
    const anchor = this.#anchors.get(finger.id);
    if (anchor === undefined) return finger;
    const free = {
      x: anchor.at.x + GAIN * (finger.x - anchor.finger.x),
      y: anchor.at.y + GAIN * (finger.y - anchor.finger.y),
    };
    // Two fingers scroll, and may do so beyond the edge.
    if (this.#anchors.size > 1) return { id: finger.id, ...outward(free, picture) };
    const at = clamped(free, picture);
    // At the edge, the way back counts at once.
    if (at.x !== free.x || at.y !== free.y) this.#anchors.set(finger.id, { finger, at });
    return { id: finger.id, ...outward(at, picture) };
  }

  up(finger: Finger, picture: Rect): Finger {
    const last = this.move(finger, picture);
    this.#anchors.delete(finger.id);
    return last;
  }

  forget(): void {
    this.#anchors.clear();
  }
}

function inward({ x, y }: Point, picture: Rect): Point {
  return { x: x - picture.left, y: y - picture.top };
}

function outward({ x, y }: Point, picture: Rect): Point {
  return { x: x + picture.left, y: y + picture.top };
}

function clamped({ x, y }: Point, picture: Rect): Point {
  const within = (value: number, extent: number): number => Math.min(Math.max(value, 0), Math.max(0, extent - 1));
  return { x: within(x, picture.width), y: within(y, picture.height) };
}
