/**
 * The switch for crisp text: a picture with a colour for every pixel (4:4:4), where agent and browser have it in common.
 * What the person chose outlives transports and reloads of this tab.
 */
import { tab } from "../api/storage";
import { t } from "../words/words";

/** Asking for it on one WebRTC connection. */
export interface CrispLine {
  ask(on: boolean): void;
}

/** For `<html data-crisp>`, and the button. */
export interface CrispView {
  readonly state: "unavailable" | "off" | "asked" | "on";
  readonly label: string;
}

/** `shown`: the picture is crisp now, which another may have asked for. Pure. */
export function crispView(able: boolean, wanted: boolean, shown: boolean): CrispView {
  if (!able) return { state: "unavailable", label: "" };
  if (shown) return { state: "on", label: t(wanted ? "crisp.on" : "crisp.shared") };
  if (!wanted) return { state: "off", label: t("crisp.off") };
  return { state: "asked", label: t("crisp.asked") };
}

export class Crisp {
  #line: CrispLine | null = null;
  #wanted: boolean;
  #shown = false;

  /** `slot`: where the choice is kept. */
  constructor(
    private readonly button: HTMLButtonElement,
    private readonly slot: string,
  ) {
    this.#wanted = tab.get(slot) === "on";
    button.addEventListener("click", () => {
      this.#choose(!this.#wanted);
    });
    this.#show();
  }

  /** A connection is up; null where it has no such picture, or this viewer may not choose. */
  connect(line: CrispLine | null): void {
    this.#line = line;
    this.#shown = false;
    if (this.#wanted) line?.ask(true);
    this.#show();
  }

  /** That connection is gone. */
  disconnect(line: CrispLine | null): void {
    if (line === this.#line) this.connect(null);
  }

  /** What the agent said. */
  hear(shown: boolean): void {
    this.#shown = shown;
    this.#show();
  }

  #choose(wanted: boolean): void {
    this.#wanted = wanted;
    tab.set(this.slot, wanted ? "on" : "off");
    this.#line?.ask(wanted);
    this.#show();
  }

  #show(): void {
    const { state, label } = crispView(this.#line !== null, this.#wanted, this.#shown);
    document.documentElement.dataset["crisp"] = state;
    this.button.hidden = state === "unavailable";
    this.button.setAttribute("aria-pressed", String(this.#wanted));
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
  }
}
