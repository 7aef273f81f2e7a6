/** The pointer's DOM side, for the video: moves, buttons and wheel to a {@link PointerSink}; fingers in touch_dom.ts. */
import { fitted, inside, placeOf } from "./geometry";
import type { Extent, Place, Rect } from "./geometry";
import { Buttons, Coalescer } from "./pointer";
import type { PointerSink } from "./sink";
import type { Point } from "./touch";
import { TouchInputDom } from "./touch_dom";
import { RoamingPointer } from "./trackpad";
import { Wheel } from "./wheel";

/** Most moves: one per this many ms. */
const MOVE_INTERVAL_MS = 4;

export class PointerInputDom {
  readonly #buttons = new Buttons();
  readonly #moves = new Coalescer(MOVE_INTERVAL_MS);
  readonly #wheel = new Wheel();
  readonly #touch: TouchInputDom;
  /** Where it is while a mouse is locked, or fingers push it. */
  readonly #roaming = new RoamingPointer();
  #trackpad = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last: Place = { x: 0x8000, y: 0x8000 };
  #sink: PointerSink | null = null;
  /** The display in px; without one nothing is sent. */
  size: Extent = { width: 0, height: 0 };
  /** The video's own size in px, which decides the margins; the display's until it is known. */
  picture: Extent = { width: 0, height: 0 };

  /** Where the pointer is that must be drawn, since no mouse shows it; null when there is none. */
  roams: (place: Place | null) => void = () => undefined;

  constructor(private readonly box: HTMLElement) {
    // Chromium tells of a move before the frame it belongs to; elsewhere (and without TLS) pointermove does.
    const moves = "onpointerrawupdate" in box ? "pointerrawupdate" : "pointermove";
    box.addEventListener(moves, (event) => {
      this.#onMove(event as PointerEvent);
    });
    this.#touch = new TouchInputDom(box, {
      begins: (x, y) => this.size.width > 0 && inside(this.#rect(), x, y),
      placeOf: (x, y) => placeOf(this.#rect(), this.size, x, y),
      rect: () => this.#rect(),
      roams: (place) => {
        this.roams(place);
      },
    }, this.#roaming);
    document.addEventListener("pointerlockchange", this.#onLock);
    // A second button pressed while one is down comes as a move, and never as a raw one.
    for (const type of ["pointerdown", "pointerup", "pointermove"] as const) box.addEventListener(type, this.#onButtons);
    box.addEventListener("pointercancel", (event) => {
      if (isMouse(event)) this.releaseAll();
    });
    box.addEventListener("lostpointercapture", (event) => {
      if (event.buttons === 0) this.#onButtons(event);
    });
    box.addEventListener("wheel", this.#onWheel, { passive: false });
    // The guest's menu, not the browser's; no going back in history by the side buttons; no focus taken away.
    for (const type of ["contextmenu", "mousedown", "mouseup", "auxclick", "click", "dblclick", "dragstart"]) {
      box.addEventListener(type, (event) => {
        if (this.#sink !== null) event.preventDefault();
      });
    }
  }

  /** Where it goes; null sends nothing. */
  set sink(sink: PointerSink | null) {
    if (sink === this.#sink) return;
    this.#sink = sink;
    this.#touch.sink = sink;
    this.forget();
  }

  get trackpad(): boolean {
    return this.#trackpad;
  }

  /** Fingers push the pointer; else they point. */
  set trackpad(trackpad: boolean) {
    this.#trackpad = trackpad;
    this.#touch.pushes = trackpad;
    if (!trackpad) this.roams(null);
  }

  /** The mouse stays in the picture until Escape frees it. */
  async lock(): Promise<void> {
    await this.box.requestPointerLock();
  }

  /** Bit n is X button n. */
  get held(): number {
    return this.#buttons.held | this.#touch.held;
  }

  /** Nothing is held any more, and the guest knows. */
  forget(): void {
    this.#buttons.clear();
    this.#moves.drop();
    this.#touch.forget();
  }

  releaseAll(): void {
    const sink = this.#sink;
    for (const { button } of this.#buttons.update(0)) sink?.button(button, false, this.#last);
  }

  #rect(): Rect {
    return fitted(this.box.getBoundingClientRect(), this.picture.width > 0 ? this.picture : this.size);
  }

  get #locked(): boolean {
    return document.pointerLockElement === this.box;
  }

  readonly #onLock = (): void => {
    if (this.#locked) this.roams(this.#last);
    else if (!this.#trackpad) this.roams(null);
  };

  /** Where the pointer is, in client px. */
  #pointOf(event: MouseEvent): Point {
    return this.#locked ? this.#roaming.at(this.#rect()) : { x: event.clientX, y: event.clientY };
  }

  #onMove(event: PointerEvent): void {
    if (this.#sink === null || !isMouse(event) || this.size.width === 0) return;
    if (this.#locked) this.#roaming.by(event.movementX, event.movementY, this.#rect());
    const { x, y } = this.#pointOf(event);
    if (!this.#locked) this.#roaming.put({ x, y }, this.#rect());
    this.#last = placeOf(this.#rect(), this.size, x, y);
    if (this.#locked) this.roams(this.#last);
    const now = performance.now();
    const place = this.#moves.offer(this.#last, now);
    if (place !== null) this.#sink.move(place);
    else this.#arm(now);
  }

  #arm(now: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const place = this.#moves.due(performance.now());
      if (place !== null) this.#sink?.move(place);
      else if (this.#moves.deadline !== null) this.#arm(performance.now());
    }, Math.max(1, Math.ceil((this.#moves.deadline ?? now) - now)));
  }

  readonly #onButtons = (event: PointerEvent): void => {
    const sink = this.#sink;
    if (sink === null || !isMouse(event) || this.size.width === 0) return;
    const rect = this.#rect();
    const { x, y } = this.#pointOf(event);
    if (event.type === "pointerdown") {
      if (!inside(rect, x, y)) return;
      // A drag that leaves the window still ends here; a locked pointer leaves nothing, and cannot be captured.
      if (!this.#locked) this.box.setPointerCapture(event.pointerId);
    }
    // A press that began in the margin stays out of it.
    if (event.type === "pointermove" && this.#buttons.held === 0) return;
    const changes = this.#buttons.update(event.buttons);
    if (changes.length === 0) return;
    this.#last = placeOf(rect, this.size, x, y);
    this.#moves.drop();
    for (const { button, down } of changes) sink.button(button, down, this.#last);
  };

  readonly #onWheel = (event: WheelEvent): void => {
    const sink = this.#sink;
    if (sink === null || this.size.width === 0) return;
    event.preventDefault();
    const legacy = event as WheelEvent & { wheelDeltaX?: number; wheelDeltaY?: number };
    const notches = this.#wheel.turn({
      deltaX: event.deltaX,
      deltaY: event.deltaY,
      deltaMode: event.deltaMode,
      wheelDeltaX: legacy.wheelDeltaX,
      wheelDeltaY: legacy.wheelDeltaY,
    });
    if (notches === null) return;
    const { x, y } = this.#pointOf(event);
    sink.wheel(notches, placeOf(this.#rect(), this.size, x, y));
  };
}

/** A mouse or a pen; fingers have gestures of their own. */
function isMouse(event: PointerEvent): boolean {
  return event.isPrimary && event.pointerType !== "touch";
}
