/** The bar's DOM side: it hides itself (bar_state.ts), can be pinned, and can be reached and left by keyboard. */
import { device } from "../api/storage";
import { BarState } from "./bar_state";
import type { Reason } from "./bar_state";
import { Chord } from "./chord";
import { byId } from "./dom";

const PIN_SLOT = "fenster.bar";
/** How near to the window's upper edge the pointer asks for the bar, in px. */
const EDGE_PX = 2;

export class Bar {
  readonly #bar = byId("bar", HTMLElement);
  readonly #top = byId("top", HTMLElement);
  readonly #handle = byId("handle", HTMLButtonElement);
  readonly #pin = byId("pin", HTMLButtonElement);
  readonly #state = new BarState();
  readonly #chord = new Chord();
  #announced = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `focus` gives the keyboard back to the desktop. */
  constructor(
    stage: HTMLElement,
    private readonly focus: () => void,
  ) {
    this.#handle.addEventListener("click", () => {
      this.#state.toggle(performance.now());
      this.#render();
    });
    this.#pin.addEventListener("click", () => {
      this.#setPinned(this.#pin.ariaPressed !== "true");
      device.set(PIN_SLOT, this.#pin.ariaPressed === "true" ? "pinned" : "");
    });
    this.#follow(stage);
    // What hangs below it hangs lower where it is higher.
    new ResizeObserver(() => {
      document.documentElement.style.setProperty("--bar-height", `${this.#bar.offsetHeight}px`);
    }).observe(this.#bar);
    this.#setPinned(device.get(PIN_SLOT) === "pinned");
  }

  hold(reason: Reason, holds: boolean): void {
    this.#state.hold(reason, holds, performance.now());
    this.#render();
  }

  /** Come into view when there is another thing to read. */
  announce(text: string): void {
    if (text !== "" && text !== this.#announced) this.#state.news(performance.now());
    this.#announced = text;
    this.#render();
  }

  #setPinned(pinned: boolean): void {
    this.#pin.ariaPressed = String(pinned);
    document.documentElement.dataset["barPinned"] = String(pinned);
    this.hold("pinned", pinned);
  }

  #follow(stage: HTMLElement): void {
    window.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      this.#state.edge(event.clientY <= EDGE_PX && event.buttons === 0, performance.now());
      this.#render();
    });
    // A mouse that leaves through the upper edge is no longer there.
    document.documentElement.addEventListener("pointerleave", () => {
      this.#state.edge(false, performance.now());
    });
    this.#bar.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "touch") this.hold("hover", true);
    });
    // A finger does not hover: each touch keeps the bar a while.
    this.#bar.addEventListener("pointerdown", () => {
      this.#state.news(performance.now());
      this.#render();
    });
    this.#bar.addEventListener("pointerleave", () => {
      this.hold("hover", false);
    });
    this.#top.addEventListener("focusin", (event) => {
      // A click gives the focus too, and takes it back to the desktop; keys keep it here.
      this.hold("focus", event.target instanceof Element && event.target.matches(":focus-visible"));
    });
    this.#top.addEventListener("focusout", () => {
      this.hold("focus", false);
    });
    stage.addEventListener("pointerdown", () => {
      this.#state.away();
      this.#render();
    }, { capture: true });
    this.#followKeys();
  }

  #followKeys(): void {
    window.addEventListener("keydown", (event) => {
      this.#chord.down(event);
    }, { capture: true });
    window.addEventListener("keyup", () => {
      if (!this.#chord.up()) return;
      this.hold("focus", true);
      this.#bar.querySelector<HTMLElement>("button:not([hidden], :disabled)")?.focus();
    }, { capture: true });
    window.addEventListener("blur", () => {
      this.#chord.forget();
    });
    this.#top.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.hold("focus", false);
      (document.activeElement as HTMLElement | null)?.blur();
      this.focus();
    });
  }

  readonly #render = (): void => {
    const now = performance.now();
    const shown = this.#state.shown(now);
    document.documentElement.dataset["bar"] = shown ? "shown" : "hidden";
    this.#handle.ariaExpanded = String(shown);
    clearTimeout(this.#timer);
    const deadline = this.#state.deadline(now);
    if (deadline !== null) this.#timer = setTimeout(this.#render, Math.max(0, deadline - now) + 1);
  };
}
