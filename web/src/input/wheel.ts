/** Wheel events to 1/120 notches. Pure. */

/** What of a WheelEvent counts here. */
export interface WheelInput {
  readonly deltaX: number;
  readonly deltaY: number;
  /** 0 pixels, 1 lines, 2 pages (UI Events 3.4). */
  readonly deltaMode: number;
  /** Chromium and WebKit only: -120 or 120 a notch, whatever size a notch has in pixels there. */
  readonly wheelDeltaX?: number | undefined;
  readonly wheelDeltaY?: number | undefined;
}

export interface Notches {
  readonly dx: number;
  readonly dy: number;
}

export const UNITS_PER_NOTCH = 120;
/** By deltaMode: a notch is 100 px or three lines; a page is taken as eight notches. */
const UNITS = [1.2, 40, 8 * UNITS_PER_NOTCH] as const;
const I16_MAX = 0x7fff;
/** Most clicks one event makes; a flick on a touchpad asks for hundreds. */
const MAX_CLICKS = 20;
/** No mouse scrolls less for a notch. */
const MIN_NOTCH_PX = 20;

/** Keeps the fractions of units that one event leaves over, so that slow scrolling is not lost. */
export class Wheel {
  #restX = 0;
  #restY = 0;

  /** Whole units to send; null when there are none yet. */
  turn(event: WheelInput): Notches | null {
    const x = sum(this.#restX, units(event.deltaX, event.deltaMode, event.wheelDeltaX));
    const y = sum(this.#restY, units(event.deltaY, event.deltaMode, event.wheelDeltaY));
    const dx = whole(x);
    const dy = whole(y);
    this.#restX = x - dx;
    this.#restY = y - dy;
    return dx === 0 && dy === 0 ? null : { dx: clamp(dx), dy: clamp(dy) };
  }
}

/** Whole clicks of units, as the guest agent counts them (input/state.py). */
export class Clicks {
  #restX = 0;
  #restY = 0;

  /** Clicks to make, right and down positive. Turning back drops what was less than a click. */
  turn({ dx, dy }: Notches): { readonly x: number; readonly y: number } {
    const x = sum(this.#restX, dx);
    const y = sum(this.#restY, dy);
    this.#restX = x % UNITS_PER_NOTCH;
    this.#restY = y % UNITS_PER_NOTCH;
    return { x: clicks(x), y: clicks(y) };
  }
}

/** What 200 steps of 1.2 add up to is 240, whatever floating point makes of it. */
function whole(units: number): number {
  return Math.trunc(units + Math.sign(units) * 1e-6);
}

/** Turning back drops what was left over. */
function sum(rest: number, turned: number): number {
  return rest * turned < 0 ? turned : rest + turned;
}

function clicks(units: number): number {
  return Math.min(Math.max(Math.trunc(units / UNITS_PER_NOTCH), -MAX_CLICKS), MAX_CLICKS) || 0;
}

function units(delta: number, mode: number, legacy: number | undefined): number {
  if (!Number.isFinite(delta) || delta === 0) return 0;
  if (mode === 0 && legacy !== undefined && isNotches(delta, legacy)) return -legacy;
  return delta * (UNITS[mode] ?? UNITS[0]);
}

/** Whole notches of a mouse: exact, where pixels depend on the system's settings. */
function isNotches(delta: number, legacy: number): boolean {
  // -3 units a pixel are a touchpad's; and some tell of a whole notch with each pixel.
  if (legacy === 0 || legacy % UNITS_PER_NOTCH !== 0 || legacy === -3 * delta) return false;
  return Math.abs(delta) >= (MIN_NOTCH_PX * Math.abs(legacy)) / UNITS_PER_NOTCH;
}

function clamp(value: number): number {
  // -0x7fff, not -0x8000: the agent may negate it. `|| 0` turns -0 into 0.
  return Math.min(Math.max(value, -I16_MAX), I16_MAX) || 0;
}
