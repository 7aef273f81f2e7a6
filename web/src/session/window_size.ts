/** When to ask for a display as large as the window: once it has kept still, and only while this page controls. Pure. */
import type { Extent } from "../input/geometry";

/** A window that is dragged changes with every frame; it counts when it has kept still this long, in ms. */
export const STILL_MS = 250;
const LEAST: Extent = { width: 320, height: 240 };
const MOST_SIDE = 3840;
const MOST_PX = 3840 * 2160;

/** The nearest size that a display can have: even, within what the gateway takes. */
export function displayFor(window: Extent): Extent {
  const width = even(Math.min(Math.max(window.width, LEAST.width), MOST_SIDE));
  const height = even(Math.min(Math.max(window.height, LEAST.height), MOST_SIDE, MOST_PX / width));
  return { width, height };
}

function even(px: number): number {
  return Math.floor(px) & ~1;
}

export class WindowSize {
  #active = false;
  #window: Extent | null = null;
  #asked: Extent | null = null;
  #dueAt: number | null = null;
  #underWay = false;

  /** When {@link due} may have something, in the clock's ms. */
  get deadline(): number | null {
    return this.#active && !this.#underWay ? this.#dueAt : null;
  }

  /** On while the page controls, shows a picture and wants it; turned on, the window counts at once. */
  setActive(active: boolean, now: number): void {
    if (active === this.#active) return;
    this.#active = active;
    // Another may have set it meanwhile.
    this.#asked = null;
    this.#dueAt = active && this.#window !== null ? now : null;
  }

  /** The window is this large, in px. */
  resized(window: Extent, now: number): void {
    this.#window = window;
    if (this.#active) this.#dueAt = now + STILL_MS;
  }

  /** The size to ask for now, if any; {@link answered} follows. */
  due(now: number): Extent | null {
    if (this.deadline === null || now < this.deadline || this.#window === null) return null;
    this.#dueAt = null;
    const size = displayFor(this.#window);
    if (size.width === this.#asked?.width && size.height === this.#asked.height) return null;
    this.#asked = size;
    this.#underWay = true;
    return size;
  }

  /** The gateway took it, or did not: asked again when the window changes. */
  answered(taken: boolean): void {
    this.#underWay = false;
    if (!taken) this.#asked = null;
  }
}
