/** Fingers on the video: pointer events of touches through the pure {@link Touch} to a {@link PointerSink}. */
import type { Place } from "./geometry";
import type { Rect } from "./geometry";
import type { PointerSink } from "./sink";
import { Touch } from "./touch";
import type { Finger, TouchAction } from "./touch";
import type { RoamingPointer } from "./trackpad";
import { Trackpad } from "./trackpad";
import { Wheel } from "./wheel";

/** Px of wheel for a px of finger: programs scroll about 50 px for a notch of 100. */
const SCROLL_GAIN = 2;

export interface Surface {
  /** May a finger begin here (client px)? */
  begins(x: number, y: number): boolean;
  placeOf(x: number, y: number): Place;
  /** The picture, in client px. */
  rect(): Rect;
  /** A pointer that no mouse moves is here now. */
  roams(place: Place): void;
}

export class TouchInputDom {
  readonly #touch = new Touch();
  readonly #wheel = new Wheel();
  readonly #trackpad: Trackpad;
  #pushes = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Where it goes; null drops it. */
  sink: PointerSink | null = null;

  constructor(
    box: HTMLElement,
    private readonly surface: Surface,
    private readonly pointer: RoamingPointer,
  ) {
    this.#trackpad = new Trackpad(pointer);
    for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"] as const) {
      box.addEventListener(type, this.#on);
    }
  }

  /** Do fingers push the pointer, instead of pointing themselves? */
  set pushes(pushes: boolean) {
    this.#do(this.#touch.cancel());
    this.#trackpad.forget();
    this.#pushes = pushes;
    if (pushes) this.#tell();
  }

  /** Bit n is X button n. */
  get held(): number {
    return this.#touch.dragging ? 1 << 1 : 0;
  }

  /** Nothing is held any more, and the guest knows. */
  forget(): void {
    this.#touch.forget();
    this.#trackpad.forget();
    clearTimeout(this.#timer);
  }

  readonly #on = (event: PointerEvent): void => {
    if (event.pointerType !== "touch" || this.sink === null) return;
    const finger = { id: event.pointerId, x: event.clientX, y: event.clientY };
    const now = performance.now();
    switch (event.type) {
      case "pointerdown":
        if (this.#pushes || this.surface.begins(finger.x, finger.y)) this.#do(this.#touch.down(this.#turned("down", finger), now));
        break;
      case "pointermove":
        this.#do(this.#touch.move(this.#turned("move", finger), now));
        break;
      case "pointerup":
        this.#do(this.#touch.up(this.#turned("up", finger), now));
        break;
      default:
        this.#trackpad.forget();
        this.#do(this.#touch.cancel());
    }
  };

  /** The finger where it points. */
  #turned(kind: "down" | "move" | "up", finger: Finger): Finger {
    return this.#pushes ? this.#trackpad[kind](finger, this.surface.rect()) : finger;
  }

  #tell(): void {
    const { x, y } = this.pointer.at(this.surface.rect());
    this.surface.roams(this.surface.placeOf(x, y));
  }

  #do(actions: readonly TouchAction[]): void {
    for (const action of actions) {
      const place = this.surface.placeOf(action.x, action.y);
      if (this.#pushes && action.do !== "scroll") {
        this.pointer.put(action, this.surface.rect());
        this.#tell();
      }
      if (action.do === "move") this.sink?.move(place);
      else if (action.do === "button") this.sink?.button(action.button, action.down, place);
      else {
        const deltas = { deltaX: action.dx * SCROLL_GAIN, deltaY: action.dy * SCROLL_GAIN, deltaMode: 0 };
        const notches = this.#wheel.turn(deltas);
        if (notches !== null) this.sink?.wheel(notches, place);
      }
    }
    clearTimeout(this.#timer);
    const deadline = this.#touch.deadline;
    if (deadline === null) return;
    this.#timer = setTimeout(() => {
      this.#do(this.#touch.due(performance.now()));
    }, Math.max(0, deadline - performance.now()) + 1);
  }
}
