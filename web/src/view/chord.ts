/**
 * Control, Alt and Shift pressed together and let go with no other key between: the way from the desktop, which takes
 * every key, to the bar (WCAG 2.2, 2.1.2). The guest gets them too, and three modifiers alone do nothing there. Pure.
 */

export interface ChordKey {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

const MODIFIERS = new Set(["Control", "Alt", "Shift", "AltGraph", "Meta"]);

export class Chord {
  #armed = false;

  down(event: ChordKey): void {
    if (!MODIFIERS.has(event.key)) this.#armed = false;
    // Shift with Alt is Meta on some systems.
    else if (event.ctrlKey && event.shiftKey && (event.altKey || event.key === "Meta")) this.#armed = true;
  }

  /** Is the chord complete with this release? */
  up(): boolean {
    const complete = this.#armed;
    this.#armed = false;
    return complete;
  }

  forget(): void {
    this.#armed = false;
  }
}
