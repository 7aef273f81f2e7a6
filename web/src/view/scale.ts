/** How large the picture is on the page: fitted into the window, or a px of the desktop for a px of the screen. */
import type { Place } from "../input/geometry";
import { device } from "../api/storage";

export const SCALES = ["fit", "one"] as const;
export type Scale = (typeof SCALES)[number];
const SLOT = "fenster.scale";

const MARGIN_PX = 48;

/** Where to scroll to, from `start`, so that `at` is inside of `extent` px with a margin. Pure. */
export function scrolled(at: number, start: number, extent: number): number {
  return Math.min(Math.max(start, at - extent + MARGIN_PX), Math.max(0, at - MARGIN_PX));
}

export class ScaleView {
  #scale: Scale = device.get(SLOT) === "one" ? "one" : "fit";

  /** `changed` tells who draws a picture of its own (noVNC). */
  constructor(
    private readonly stage: HTMLElement,
    private readonly video: HTMLVideoElement,
    private readonly changed: () => void,
  ) {
    video.addEventListener("resize", this.#apply);
    // The window went to a screen with other pixels.
    window.addEventListener("resize", this.#apply);
    this.#apply();
  }

  get scale(): Scale {
    return this.#scale;
  }

  set scale(scale: Scale) {
    this.#scale = scale;
    device.set(SLOT, scale);
    this.#apply();
    this.changed();
  }

  /** Scroll until that place of the picture can be seen, with something around it. */
  reveal(place: Place): void {
    if (this.#scale === "fit") return;
    const { stage, video } = this;
    stage.scrollTo(
      scrolled((place.x / 65536) * video.clientWidth, stage.scrollLeft, stage.clientWidth),
      scrolled((place.y / 65536) * video.clientHeight, stage.scrollTop, stage.clientHeight),
    );
  }

  readonly #apply = (): void => {
    const one = this.#scale === "one";
    this.stage.dataset["scale"] = this.#scale;
    const px = (size: number): string => (one && size > 0 ? `${size / window.devicePixelRatio}px` : "");
    this.video.style.width = px(this.video.videoWidth);
    this.video.style.height = px(this.video.videoHeight);
  };
}
