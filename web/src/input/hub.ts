/** All input of the viewer: one keyboard for both transports, the pointer for the video, the heartbeat. */
import type { Extent } from "./geometry";
import { KeyInputDom } from "./keys_dom";
import type { KeyOp } from "./keyboard";
import { PointerInputDom } from "./pointer_dom";
import type { KeySink, PointerSink } from "./sink";
import { asKeys, chordOps, KEYSYMS } from "./special";
import type { KeyName } from "./special";

/** What is held is said again this often (messages.py: Held), in ms. */
const HEARTBEAT_MS = 500;

export interface Sinks {
  readonly keys: KeySink;
  /** Null where the transport has its own pointer. */
  readonly pointer: PointerSink | null;
}

export class InputHub {
  readonly #keys: KeyInputDom;
  readonly pointer: PointerInputDom;
  /** Modifiers that the page's buttons hold down. */
  readonly stuck = new Set<KeyName>();
  /** The page's buttons need a word of it. */
  onStuck: () => void = () => undefined;
  #sinks: Sinks | null = null;
  #allowed = false;

  constructor(
    field: HTMLTextAreaElement,
    private readonly stage: HTMLElement,
    video: HTMLElement,
    /** Keys that are sent, and that the browser acts on too. */
    passes: (event: KeyboardEvent) => boolean,
  ) {
    const emit = (ops: readonly KeyOp[]): void => {
      this.#sinks?.keys.keys(this.stuck.size > 0 ? asKeys(ops, this.stuck) : ops);
      if (!ops.some((op) => op.op === "release-all")) return;
      // After a release-all the guest holds no button either.
      this.pointer.forget();
      this.stuck.clear();
      this.onStuck();
    };
    this.#keys = new KeyInputDom(field, emit, passes);
    this.pointer = new PointerInputDom(video);
    // noVNC stops its mouse events from bubbling, and may take the focus.
    stage.addEventListener("pointerdown", this.#onPress, { capture: true });
    // A press beside the picture would take the focus away.
    stage.addEventListener("mousedown", (event) => {
      if (this.#sinks !== null && this.#allowed) event.preventDefault();
    });
    stage.addEventListener("focusin", () => {
      this.#keys.focus();
    });
    window.addEventListener("focus", () => {
      if (document.activeElement === document.body) this.#keys.focus();
    });
    setInterval(this.#beat, HEARTBEAT_MS);
  }

  /** The display in px. */
  set size(size: Extent) {
    this.pointer.size = size;
  }

  /** The video's own size in px. */
  set picture(picture: Extent) {
    this.pointer.picture = picture;
  }

  /** May this viewer control? Off, nothing is sent and the browser keeps its keys. */
  set allowed(allowed: boolean) {
    if (allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.#apply();
  }

  get allowed(): boolean {
    return this.#allowed;
  }

  /** Where input goes from now on. What was held is released where it was pressed; the focus stays. */
  connect(sinks: Sinks | null): void {
    this.#keys.releaseAll();
    this.#sinks = sinks;
    this.#apply();
  }

  focus(): void {
    this.#keys.focus();
  }

  /** Press keys that the person's keyboard cannot, and let them go. */
  press(keys: readonly KeyName[]): void {
    if (this.#allowed) this.#sinks?.keys.keys(chordOps(keys));
  }

  /** Hold a modifier down, or let it go. */
  stick(key: KeyName, down: boolean): void {
    if (!this.#allowed || this.#sinks === null || down === this.stuck.has(key)) return;
    if (down) this.stuck.add(key);
    else this.stuck.delete(key);
    this.#sinks.keys.keys([{ op: "key", keysym: KEYSYMS[key], down }]);
    this.onStuck();
  }

  #apply(): void {
    const active = this.#allowed && this.#sinks !== null;
    this.#keys.enabled = active;
    this.pointer.sink = active ? (this.#sinks?.pointer ?? null) : null;
    this.stage.dataset["input"] = active ? "on" : "off";
    if (active && document.activeElement === document.body) this.#keys.focus();
  }

  readonly #onPress = (event: PointerEvent): void => {
    if (this.#sinks === null || !this.#allowed) return;
    this.#keys.moveTo(event.clientX, event.clientY);
    // A tap would raise the on-screen keyboard each time; the bar has a button for that.
    if (event.pointerType !== "touch") this.#keys.focus();
  };

  readonly #beat = (): void => {
    const keysyms = [...this.#keys.held, ...[...this.stuck].map((key) => KEYSYMS[key])];
    const buttons = this.pointer.held;
    if (this.#allowed && (keysyms.length > 0 || buttons !== 0)) this.#sinks?.keys.held(keysyms, buttons);
  };
}
