/**
 * The keyboard's DOM side: a textarea that nobody sees keeps the focus, so that input methods and on-screen
 * keyboards work, and its events go through the pure {@link Keyboard}.
 */
import { Keyboard } from "./keyboard";
import type { KeyOp, Outcome, Platform } from "./keyboard";
import { XK } from "./keysym";

/** Something to delete, so that an on-screen keyboard's Backspace makes an event. */
const FILLER = "\u00a0\u00a0\u00a0\u00a0";
/** Composed text is taken from compositionend, once; these events only tell of its making. */
const COMPOSING = new Set([
  "insertCompositionText",
  "insertFromComposition",
  "deleteCompositionText",
  "deleteByComposition",
]);
const LINE_BREAKS = new Set(["insertLineBreak", "insertParagraph"]);
const DELETIONS = new Map<string, number>([
  ["deleteContentBackward", XK.BackSpace],
  ["deleteWordBackward", XK.BackSpace],
  ["deleteContentForward", XK.Delete],
]);

export class KeyInputDom {
  readonly #keyboard: Keyboard;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #enabled = false;

  constructor(
    private readonly field: HTMLTextAreaElement,
    private readonly emit: (ops: readonly KeyOp[]) => void,
    /** Keys that are sent, and that the browser acts on too. */
    private readonly passes: (event: KeyboardEvent) => boolean = () => false,
    platform: Platform = platformOf(navigator.userAgent),
  ) {
    this.#keyboard = new Keyboard(platform);
    field.addEventListener("keydown", this.#down);
    field.addEventListener("keyup", this.#up);
    field.addEventListener("input", this.#input);
    field.addEventListener("compositionend", this.#composed);
    field.addEventListener("blur", this.#lost);
    window.addEventListener("blur", this.#lost);
    window.addEventListener("pagehide", this.#lost);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.#lost();
    });
    this.#refill();
  }

  get held(): readonly number[] {
    return this.#keyboard.held();
  }

  /** Off, the browser keeps its keys. Turning it off releases what is held. */
  set enabled(enabled: boolean) {
    if (this.#enabled && !enabled) this.#lost();
    this.#enabled = enabled;
  }

  focus(): void {
    if (this.#enabled) this.field.focus({ preventScroll: true });
  }

  /** Where an input method's candidates appear: beside the place last clicked, in client px. */
  moveTo(clientX: number, clientY: number): void {
    this.field.style.left = `${Math.max(0, clientX)}px`;
    this.field.style.top = `${Math.max(0, clientY)}px`;
  }

  releaseAll(): void {
    this.#emit(this.#keyboard.releaseAll());
  }

  readonly #down = (event: KeyboardEvent): void => {
    if (this.#enabled) this.#apply(event, this.#keyboard.down(event, performance.now()));
  };

  readonly #up = (event: KeyboardEvent): void => {
    if (this.#enabled) this.#apply(event, this.#keyboard.up(event));
  };

  readonly #input = (raw: Event): void => {
    if (!this.#enabled || !(raw instanceof InputEvent) || COMPOSING.has(raw.inputType)) return;
    if (raw.isComposing) return;
    const keysym = DELETIONS.get(raw.inputType);
    if (keysym !== undefined) {
      this.#emit([
        { op: "key", keysym, down: true },
        { op: "key", keysym, down: false },
      ]);
    } else if (LINE_BREAKS.has(raw.inputType) || (raw.inputType === "insertText" && raw.data === null)) {
      // Chromium inserts text of several lines piece by piece, the breaks between them as text without data.
      this.#emit(this.#keyboard.text("\n"));
    } else if (raw.data !== null) {
      this.#emit(this.#keyboard.text(raw.data));
    }
    this.#refill();
  };

  readonly #composed = (event: CompositionEvent): void => {
    if (this.#enabled && event.data !== "") this.#emit(this.#keyboard.text(event.data));
    this.#refill();
  };

  readonly #lost = (): void => {
    if (this.#enabled) this.releaseAll();
  };

  #apply(event: KeyboardEvent, outcome: Outcome): void {
    if (outcome.prevent && !this.passes(event)) event.preventDefault();
    event.stopPropagation();
    this.#emit(outcome.ops);
  }

  #emit(ops: readonly KeyOp[]): void {
    if (ops.length > 0) this.emit(ops);
    clearTimeout(this.#timer);
    const deadline = this.#keyboard.deadline;
    if (deadline === null) return;
    this.#timer = setTimeout(() => {
      this.#emit(this.#keyboard.due(performance.now()));
    }, Math.max(0, deadline - performance.now()));
  }

  #refill(): void {
    this.field.value = FILLER;
    this.field.setSelectionRange(FILLER.length / 2, FILLER.length / 2);
  }
}

/** Which system's keyboard quirks to expect. */
export function platformOf(userAgent: string): Platform {
  if (/Mac|iPhone|iPad/.test(userAgent)) return "mac";
  return userAgent.includes("Windows") ? "windows" : "other";
}
