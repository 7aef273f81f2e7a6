/** Live pictures of the desktops that can be seen, fetched one after the other while the page is in view. */
import type { Gateway } from "./gateway";
import { Turns } from "./turns";

const LOOK_MS = 500;
/** A picture that has not come by then does not, in ms. */
const LIMIT_MS = 10_000;
/** Twice as wide as shown, for screens with more px. */
const WIDTH_PX = 640;

/** Shows a picture of one desktop. */
export interface Frame {
  readonly node: Element;
  /** Has it a picture to give? */
  readonly live: boolean;
  picture(blob: Blob): void;
}

export class Thumbs {
  readonly #frames = new Map<string, Frame>();
  readonly #tags = new Map<string, string>();
  readonly #seen = new Set<Element>();
  readonly #turns = new Turns();
  readonly #observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#seen.add(target);
      else this.#seen.delete(target);
    }
  });
  #asking = false;
  gateway: Gateway | null = null;

  constructor() {
    setInterval(() => {
      void this.#look();
    }, LOOK_MS);
  }

  add(id: string, frame: Frame): void {
    this.#frames.set(id, frame);
    this.#observer.observe(frame.node);
  }

  drop(id: string): void {
    const frame = this.#frames.get(id);
    if (frame === undefined) return;
    this.#observer.unobserve(frame.node);
    this.#seen.delete(frame.node);
    this.#frames.delete(id);
    this.#tags.delete(id);
  }

  async #look(): Promise<void> {
    const { gateway } = this;
    if (gateway === null || this.#asking || document.visibilityState !== "visible") return;
    const seen = [...this.#frames].filter(([, frame]) => frame.live && this.#seen.has(frame.node)).map(([id]) => id);
    const id = this.#turns.next(seen, performance.now());
    if (id === null) return;
    this.#asking = true;
    let came = true;
    try {
      const found = await gateway.thumbnail(id, WIDTH_PX, this.#tags.get(id) ?? "", AbortSignal.timeout(LIMIT_MS));
      if (found !== null) {
        this.#tags.set(id, found.tag);
        this.#frames.get(id)?.picture(found.picture);
      }
    } catch {
      // A desktop whose picture does not come keeps the last; its state is told by the list.
      came = false;
    } finally {
      this.#asking = false;
      this.#turns.done(id, came, performance.now());
    }
  }
}
