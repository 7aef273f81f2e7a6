/**
 * Fingers to what a mouse does. Pure: time is an argument.
 *
 * - tap: click; with two fingers the right button, with three the middle one
 * - long press: right click when the finger lifts, or a drag when it moves
 * - a tap and at once a drag: drag; and a tap and at once a tap: a double click, at one place
 * - one finger that moves: the pointer, without a button
 * - two fingers that move: scroll, the content following them
 */

/** A place in client px. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Finger extends Point {
  readonly id: number;
}

export type TouchAction =
  | ({ readonly do: "move" } & Point)
  | ({ readonly do: "button"; readonly button: number; readonly down: boolean } & Point)
  /** By px of the fingers' way, positive as a wheel's deltas are: the content goes right and down by less than 0. */
  | ({ readonly do: "scroll"; readonly dx: number; readonly dy: number } & Point);

export const LONG_PRESS_MS = 500;
/** A second tap this soon after the first, and this near, belongs to it. */
export const DOUBLE_MS = 300;
export const DOUBLE_PX = 40;
/** A finger that stays within this has not moved. */
export const SLOP_PX = 10;

const LEFT = 1;
const RIGHT = 3;
/** By the number of fingers that tap. */
const BUTTON_OF = [0, LEFT, RIGHT, 2] as const;

type Phase =
  | { readonly name: "idle" }
  /** One finger, and not yet known what for. */
  | { readonly name: "pressed"; readonly at: Point; readonly since: number; readonly second: boolean }
  /** The same for so long that it is no tap any more. */
  | { readonly name: "long"; readonly at: Point }
  | { readonly name: "hover" }
  | { readonly name: "drag" }
  | { readonly name: "several"; readonly since: number; readonly from: Point; readonly most: number; readonly moved: boolean };

export class Touch {
  readonly #fingers = new Map<number, Point>();
  #phase: Phase = { name: "idle" };
  /** The middle of the fingers when it was last looked at. */
  #centre: Point = { x: 0, y: 0 };
  #lastTap: { readonly at: Point; readonly when: number } | null = null;

  /** Is the left button held? */
  get dragging(): boolean {
    return this.#phase.name === "drag";
  }

  /** When {@link due} wants to be called; null when it does not. */
  get deadline(): number | null {
    return this.#phase.name === "pressed" && !this.#phase.second ? this.#phase.since + LONG_PRESS_MS : null;
  }

  due(now: number): TouchAction[] {
    const phase = this.#phase;
    if (phase.name !== "pressed" || this.deadline === null || now < this.deadline) return [];
    this.#phase = { name: "long", at: phase.at };
    // The person sees that it is one.
    return [{ do: "move", ...phase.at }];
  }

  down(finger: Finger, now: number): TouchAction[] {
    const late = this.due(now);
    this.#fingers.set(finger.id, pointOf(finger));
    this.#centre = centreOf(this.#fingers);
    if (this.#phase.name === "drag") return late;
    const count = this.#fingers.size;
    if (count > 1) {
      const since = this.#phase.name === "several" || this.#phase.name === "pressed" ? this.#phase.since : now;
      const scrolls = this.#phase.name === "several" && this.#phase.moved ? this.#phase : null;
      this.#phase = { name: "several", since, from: scrolls?.from ?? this.#centre, most: count, moved: scrolls !== null };
      return late;
    }
    const tap = this.#lastTap;
    const second = tap !== null && now - tap.when <= DOUBLE_MS && distance(tap.at, finger) <= DOUBLE_PX;
    // Programs take two clicks for a double one only where the first was.
    this.#phase = { name: "pressed", at: second ? tap.at : pointOf(finger), since: now, second };
    return late;
  }

  move(finger: Finger, now: number): TouchAction[] {
    if (!this.#fingers.has(finger.id)) return [];
    const late = this.due(now);
    this.#fingers.set(finger.id, pointOf(finger));
    const phase = this.#phase;
    switch (phase.name) {
      case "pressed":
      case "long": {
        if (distance(phase.at, finger) <= (phase.name === "pressed" && phase.second ? DOUBLE_PX : SLOP_PX)) return late;
        if (phase.name === "pressed" && !phase.second) {
          this.#phase = { name: "hover" };
          return [...late, { do: "move", ...pointOf(finger) }];
        }
        this.#phase = { name: "drag" };
        return [...late, press(LEFT, true, phase.at), { do: "move", ...pointOf(finger) }];
      }
      case "hover":
      case "drag":
        return [...late, { do: "move", ...pointOf(finger) }];
      case "several":
        return [...late, ...this.#scroll(phase)];
      case "idle":
        return late;
    }
  }

  up(finger: Finger, now: number): TouchAction[] {
    if (!this.#fingers.has(finger.id)) return [];
    const late = this.due(now);
    this.#fingers.delete(finger.id);
    this.#centre = centreOf(this.#fingers);
    const phase = this.#phase;
    if (phase.name === "drag") {
      // The finger that drags may not be the last one.
      if (this.#fingers.size > 0) return late;
      this.#phase = { name: "idle" };
      return [...late, press(LEFT, false, finger)];
    }
    if (this.#fingers.size > 0) return late;
    this.#phase = { name: "idle" };
    this.#lastTap = null;
    switch (phase.name) {
      case "pressed":
        // A third tap is a first one again: some programs know triple clicks, by their own count.
        this.#lastTap = { at: phase.at, when: now };
        return [...late, ...click(LEFT, phase.at)];
      case "long":
        return [...late, ...click(RIGHT, phase.at)];
      case "several":
        if (phase.moved || now - phase.since > LONG_PRESS_MS) return late;
        return [...late, ...click(BUTTON_OF[phase.most] ?? LEFT, phase.from)];
      default:
        return late;
    }
  }

  /** The browser took the fingers away, or nothing may be held any more. */
  cancel(): TouchAction[] {
    const released = this.#phase.name === "drag" ? [press(LEFT, false, this.#centre)] : [];
    this.forget();
    return released;
  }

  /** As cancel, where the guest knows already. */
  forget(): void {
    this.#fingers.clear();
    this.#phase = { name: "idle" };
    this.#lastTap = null;
  }

  #scroll(phase: Phase & { readonly name: "several" }): TouchAction[] {
    const centre = centreOf(this.#fingers);
    if (!phase.moved) {
      if (distance(phase.from, centre) <= SLOP_PX) return [];
      this.#phase = { ...phase, moved: true };
    }
    const dx = this.#centre.x - centre.x;
    const dy = this.#centre.y - centre.y;
    this.#centre = centre;
    return [{ do: "scroll", dx, dy, ...phase.from }];
  }
}

function pointOf({ x, y }: Point): Point {
  return { x, y };
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function centreOf(fingers: ReadonlyMap<number, Point>): Point {
  const points = [...fingers.values()];
  const mean = (of: (point: Point) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / Math.max(1, points.length);
  return { x: mean((point) => point.x), y: mean((point) => point.y) };
}

function press(button: number, down: boolean, { x, y }: Point): TouchAction {
  return { do: "button", button, down, x, y };
}

function click(button: number, at: Point): TouchAction[] {
  return [press(button, true, at), press(button, false, at)];
}
