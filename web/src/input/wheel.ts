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

/** Keeps the fractions of units that one event leaves over, so that slow scrolling is not lost. */
export class Wheel {
  #restX = 0;
  #restY = 0;

  /** Whole units to send; null when there are none yet. */
  turn(event: WheelInput): Notches | null {
    const x = this.#restX + units(event.deltaX, event.deltaMode, event.wheelDeltaX);
    const y = this.#restY + units(event.deltaY, event.deltaMode, event.wheelDeltaY);
    const dx = clamp(Math.trunc(x));
    const dy = clamp(Math.trunc(y));
    this.#restX = x - Math.trunc(x);
    this.#restY = y - Math.trunc(y);
    return dx === 0 && dy === 0 ? null : { dx, dy };
  }
}

function units(delta: number, mode: number, legacy: number | undefined): number {
  if (!Number.isFinite(delta) || delta === 0) return 0;
  // Whole notches of a mouse: exact, where pixels depend on the system's settings.
  // (-3 units a pixel are a touchpad's.)
  if (mode === 0 && legacy !== undefined && legacy !== 0 && legacy % UNITS_PER_NOTCH === 0 && legacy !== -3 * delta) {
    return -legacy;
  }
  return delta * (UNITS[mode] ?? UNITS[0]);
}

function clamp(value: number): number {
  // -0x7fff, not -0x8000: the agent may negate it. `|| 0` turns -0 into 0.
  return Math.min(Math.max(value, -I16_MAX), I16_MAX) || 0;
}
