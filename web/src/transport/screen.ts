/**
 * The page's one video element, shared by the connections that want to show something in it.
 *
 * It keeps its place in the page and its listeners, whatever plays in it. A connection that is tried while another is
 * seen paints on an element outside the page; when it takes over, its last picture is kept over the change, so the
 * picture never goes black.
 */
import { onVideoPainted } from "./painted";

export class Screen {
  readonly #kept = document.createElement("canvas");
  #owner: Pane | null = null;
  #forgetPainted: () => void = () => undefined;

  constructor(private readonly video: HTMLVideoElement) {
    this.#kept.className = "kept";
    this.#kept.hidden = true;
    this.#kept.setAttribute("aria-hidden", "true");
    video.after(this.#kept);
  }

  /** A place to play `stream`: the page's element if it is free, else one behind it. */
  pane(stream: MediaStream): Pane {
    const isFree = this.#owner === null;
    const pane = new Pane(this, isFree ? this.video : document.createElement("video"), stream);
    if (isFree) this.#owner = pane;
    return pane;
  }

  /** `pane` is to be seen: what was kept is not wanted any more. */
  show(pane: Pane): void {
    if (pane === this.#owner) {
      this.clear();
      return;
    }
    if (pane.element !== null) {
      this.keep(pane.element);
      pane.element.srcObject = null;
    }
    if (this.#owner !== null) this.#owner.element = null;
    this.#owner = pane;
    pane.element = this.video;
    play(this.video, pane.stream);
    this.#forgetPainted = onVideoPainted(this.video, () => {
      this.clear();
    });
  }

  /** `pane` plays no more; its picture stays until there is another. */
  release(pane: Pane): void {
    if (pane === this.#owner) {
      this.keep(this.video);
      this.#owner = null;
    }
    if (pane.element !== null) pane.element.srcObject = null;
    pane.element = null;
  }

  /** Shows what `source` shows now, until {@link clear}. */
  keep(source: HTMLVideoElement | HTMLCanvasElement): void {
    const [width, height] =
      source instanceof HTMLVideoElement ? [source.videoWidth, source.videoHeight] : [source.width, source.height];
    // Without a frame there is nothing to keep.
    if (width === 0 || height === 0) return;
    if (source instanceof HTMLVideoElement && source.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    this.#forgetPainted();
    this.#kept.width = width;
    this.#kept.height = height;
    this.#kept.getContext("2d")?.drawImage(source, 0, 0);
    this.#kept.hidden = false;
  }

  clear(): void {
    this.#forgetPainted();
    this.#kept.hidden = true;
  }
}

export class Pane {
  constructor(
    private readonly screen: Screen,
    /** Null once another plays there. */
    public element: HTMLVideoElement | null,
    readonly stream: MediaStream,
  ) {
    if (element !== null) play(element, stream);
  }

  /** Calls `painted` once when it has painted. Returns what gives up waiting. */
  onPainted(painted: () => void): () => void {
    return this.element === null ? () => undefined : onVideoPainted(this.element, painted);
  }

  show(): void {
    this.screen.show(this);
  }

  release(): void {
    this.screen.release(this);
  }
}

function play(video: HTMLVideoElement, stream: MediaStream): void {
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  // Muted video may play without a gesture; a browser that refuses shows no frame, and another way follows.
  video.play().catch(() => undefined);
}
