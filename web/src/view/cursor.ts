/** The guest's pointer: the browser's own over the picture for who controls, a picture of it for who watches. */
import { fitted } from "../input/geometry";
import type { Extent, Place } from "../input/geometry";
import { CURSOR_SLOTS } from "../protocol/messages.gen";
import type { Cursor } from "../protocol/messages.gen";

export interface Shape {
  /** A data: URL. */
  readonly url: string;
  /** The hotspot in px of the image. */
  readonly x: number;
  readonly y: number;
}

/** What Cursor messages (messages.py) of one connection mean, in their order: the slots, and the shape shown. Pure. */
export class Shapes {
  readonly #slots = new Map<number, string>();

  /** The shape now: null when the pointer is hidden, undefined when the slot was never filled. */
  take(message: Cursor): Shape | null | undefined {
    if (message.slot === 0) return null;
    if (message.slot >= CURSOR_SLOTS) return undefined;
    if (message.image.length > 0) this.#slots.set(message.slot, dataUrl(message.image));
    const url = this.#slots.get(message.slot);
    return url === undefined ? undefined : { url, x: message.x, y: message.y };
  }
}

/** A CSS `cursor`. */
export function cssCursor(shape: Shape | null): string {
  return shape === null ? "none" : `url("${shape.url}") ${shape.x} ${shape.y}, default`;
}

function dataUrl(png: Uint8Array): string {
  let binary = "";
  for (const byte of png) binary += String.fromCharCode(byte);
  return `data:image/png;base64,${btoa(binary)}`;
}

export class CursorView {
  readonly #ghost = document.createElement("img");
  #shape: Shape | null | undefined;
  #place: Place | null = null;
  #roaming: Place | null = null;
  #controls = false;

  /** `size` is the picture's, in px, as it is fitted into `frame`. */
  constructor(
    private readonly frame: HTMLElement,
    private readonly size: () => Extent,
  ) {
    this.#ghost.className = "ghost";
    this.#ghost.alt = "";
    this.#ghost.hidden = true;
    frame.after(this.#ghost);
    new ResizeObserver(this.#draw).observe(frame);
    // Of a video.
    frame.addEventListener("resize", this.#draw);
  }

  /** Another connection: nothing is known any more. */
  reset(controls: boolean): void {
    this.#shape = undefined;
    this.#place = null;
    this.#controls = controls;
    this.#draw();
  }

  /** Does this viewer move the pointer? Else it sees where it goes. */
  set controls(controls: boolean) {
    if (controls === this.#controls) return;
    this.#controls = controls;
    if (controls) this.#place = null;
    this.#draw();
  }

  /** Null when the pointer is hidden. */
  wear(shape: Shape | null): void {
    this.#shape = shape;
    this.#draw();
  }

  point(place: Place): void {
    this.#place = place;
    this.#draw();
  }

  /** Where the pointer is that this viewer moves without a mouse that shows it; null when there is none. */
  roam(place: Place | null): void {
    this.#roaming = place;
    this.#draw();
  }

  readonly #draw = (): void => {
    this.frame.style.cursor = this.#controls && this.#shape !== undefined ? cssCursor(this.#shape) : "";
    const shape = this.#shape;
    const place = this.#controls ? this.#roaming : this.#place;
    this.#ghost.hidden = place === null || !shape;
    if (place === null || !shape) return;
    if (this.#ghost.src !== shape.url) this.#ghost.src = shape.url;
    const { clientWidth: width, clientHeight: height } = this.frame;
    const picture = fitted({ left: 0, top: 0, width, height }, this.size());
    const left = this.frame.offsetLeft + picture.left + (place.x / 65536) * picture.width - shape.x;
    const top = this.frame.offsetTop + picture.top + (place.y / 65536) * picture.height - shape.y;
    this.#ghost.style.translate = `${left}px ${top}px`;
  };
}

/** The pointer by one connection: of one that is only being tried it is kept until its picture is seen. */
export class CursorFeed {
  readonly #shapes = new Shapes();
  #shape: Shape | null | undefined;
  #controls = false;
  #seen = false;

  constructor(
    private readonly view: CursorView,
    private readonly isFront: () => boolean,
  ) {}

  welcome(controls: boolean): void {
    this.#controls = controls;
    if (this.isFront()) this.show();
  }

  /** From now on the picture is this connection's. */
  show(): void {
    if (this.#seen) return;
    this.#seen = true;
    this.view.reset(this.#controls);
    if (this.#shape !== undefined) this.view.wear(this.#shape);
  }

  take(message: Cursor): void {
    const shape = this.#shapes.take(message);
    if (shape === undefined) return;
    this.#shape = shape;
    if (this.isFront()) this.view.wear(shape);
  }

  point(place: Place): void {
    if (this.isFront()) this.view.point(place);
  }
}
