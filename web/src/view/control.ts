/** Control on the page: who has it, asking for it, being asked, and the display's size, which is the controller's. */
import { postControl, putDisplay } from "../api/control";
import type { Wish } from "../api/control";
import { problemOf } from "../api/http";
import { device } from "../api/storage";
import type { Access } from "../session/runner";
import type { Standing } from "../session/standing";
import { sentences } from "../session/why";
import { WindowSize } from "../session/window_size";
import { byId } from "./dom";

const FIT_SLOT = "fenster.fit";
const REFUSED_MS = 6_000;

export class ControlView {
  readonly #who = byId("who", HTMLElement);
  readonly #deed = byId("deed", HTMLButtonElement);
  readonly #ask = byId("ask", HTMLElement);
  readonly #askText = byId("ask-text", HTMLElement);
  readonly #fit = byId("fit", HTMLButtonElement);
  readonly #size = new WindowSize();
  #standing: Standing | null = null;
  #painted = false;
  #readOnly = false;
  #follows = device.get(FIT_SLOT) === "window";
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Why the gateway refused the last wish; shown for a moment. */
  #refused = "";

  /** `news`: the gateway was told something, so the session is another now. */
  constructor(
    private readonly access: Access,
    stage: HTMLElement,
    private readonly news: () => void,
  ) {
    this.#deed.addEventListener("click", () => {
      const deed = this.#standing?.deed ?? null;
      if (deed !== null) this.#wish(deed.wish);
    });
    for (const [id, wish] of [["grant", "grant"], ["deny", "deny"]] as const) {
      byId(id, HTMLButtonElement).addEventListener("click", () => {
        this.#wish(wish, this.#standing?.ask?.name ?? null);
      });
    }
    this.#fit.addEventListener("click", () => {
      this.#follows = !this.#follows;
      device.set(FIT_SLOT, this.#follows ? "window" : "scale");
      this.#render();
    });
    new ResizeObserver(() => {
      this.#size.resized({ width: stage.clientWidth, height: stage.clientHeight }, performance.now());
      this.#arm();
    }).observe(stage);
  }

  /** `readOnly`: this page's input does not count though it may, and neither does its window's size. */
  show(standing: Standing, painted: boolean, readOnly: boolean): void {
    this.#standing = standing;
    this.#painted = painted;
    this.#readOnly = readOnly;
    this.#render();
  }

  #render(): void {
    const standing = this.#standing;
    if (standing === null) return;
    const controls = standing.who === "me" && !this.#readOnly;
    const text = this.#painted ? standing.text : "";
    this.#who.textContent = this.#refused === "" ? text : this.#refused;
    this.#deed.hidden = !this.#painted || standing.deed === null;
    this.#deed.textContent = standing.deed?.label ?? "";
    this.#ask.hidden = standing.ask === null;
    // Said again, it would be read aloud again.
    const asked = standing.ask?.text ?? "";
    if (this.#askText.textContent !== asked) this.#askText.textContent = asked;
    this.#fit.hidden = !(controls && this.#painted);
    this.#fit.ariaPressed = String(this.#follows);
    this.#size.setActive(this.#follows && controls && this.#painted, performance.now());
    this.#arm();
  }

  #wish(wish: Wish, name: string | null = null): void {
    postControl(this.access, wish, name).then(this.news, (error: unknown) => {
      const { detail, hint } = problemOf(error);
      this.#refused = sentences(detail, hint);
      setTimeout(() => {
        this.#refused = "";
        this.#render();
      }, REFUSED_MS);
      this.news();
      this.#render();
    });
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const at = this.#size.deadline;
    if (at === null) return;
    this.#timer = setTimeout(this.#resize, Math.max(0, at - performance.now()));
  }

  readonly #resize = (): void => {
    const size = this.#size.due(performance.now());
    if (size === null) {
      this.#arm();
      return;
    }
    putDisplay(this.access, size)
      .then(
        () => true,
        (error: unknown) => {
          // The picture stays as it is, scaled; the next change of the window asks again.
          console.warn("the gateway did not take the display's size", error);
          return false;
        },
      )
      .then((taken) => {
        this.#size.answered(taken);
        this.#arm();
      })
      .catch(() => undefined);
  };
}
