/** The bar's panel for what is needed now and then: size, keys, pointer, screenshot, figures, colours, language. */
import type { InputHub } from "../input/hub";
import { CHORDS, SINGLES, STICKY } from "../input/special";
import type { KeyName } from "../input/special";
import { t } from "../words/words";
import { pageChoices, Segments, toggle } from "./choices";
import { button, el } from "./dom";
import type { ScaleView } from "./scale";
import { SidePanel } from "./side";
import type { Stats } from "./stats";

export interface MenuDeeds {
  screenshot(): void;
  /** Give the keyboard back to the desktop. */
  focus(): void;
}

export class Menu {
  readonly side = new SidePanel("menu", () => undefined);
  readonly #keys: HTMLElement;
  readonly #pointer: HTMLElement;
  readonly #picture: HTMLElement;
  readonly #sticky = new Map<KeyName, HTMLButtonElement>();

  constructor(
    private readonly input: InputHub,
    scale: ScaleView,
    stats: Stats,
    private readonly deeds: MenuDeeds,
  ) {
    const size = new Segments(t("menu.size"), [["fit", t("menu.size.fit")], ["one", t("menu.size.one")]] as const, (chosen) => {
      scale.scale = chosen;
    });
    size.value = scale.scale;
    const figures = toggle(t("menu.picture.stats"), stats.open, (open) => {
      stats.open = open;
    });
    const shot = button(t("menu.picture.save"), () => {
      deeds.screenshot();
    });
    this.#picture = section(t("menu.picture"), size.node, el("div", { class: "row" }, shot, figures));
    this.#keys = this.#makeKeys();
    this.#pointer = this.#makePointer();
    this.side.root.append(
      this.#picture,
      this.#keys,
      this.#pointer,
      section(t("menu.bar"), ...pageChoices(), el("p", {}, t("menu.shortcut"))),
    );
    input.onStuck = () => {
      for (const [key, node] of this.#sticky) node.ariaPressed = String(input.stuck.has(key));
    };
  }

  /** What this viewer can do now; `roams`: the transport's pointer is this page's own. */
  show(painted: boolean, controls: boolean, roams: boolean): void {
    this.#picture.hidden = !painted;
    this.#keys.hidden = !(painted && controls);
    this.#pointer.hidden = !(painted && controls && roams);
  }

  #makeKeys(): HTMLElement {
    const sticky = STICKY.map((key) => {
      const node = toggle(t(`key.${key}`), false, (down) => {
        this.input.stick(key, down);
      });
      this.#sticky.set(key, node);
      return node;
    });
    const plain = (keys: readonly KeyName[]): HTMLButtonElement =>
      button(keys.map((key) => t(`key.${key}`)).join("+"), () => {
        this.input.press(keys);
      });
    const keys = section(
      t("menu.keys"),
      el("div", { class: "row" }, ...sticky),
      el("div", { class: "row" }, ...SINGLES.map(plain)),
      el("div", { class: "row" }, ...CHORDS.map(plain)),
      el("p", {}, t("menu.keys.hint")),
    );
    // The focus stays in the desktop, where a lost focus lets every key go.
    keys.addEventListener("mousedown", (event) => {
      event.preventDefault();
    });
    return keys;
  }

  #makePointer(): HTMLElement {
    const lock = button(t("menu.pointer.lock"), () => {
      this.side.open = false;
      this.deeds.focus();
      this.input.pointer.lock().catch((error: unknown) => {
        console.warn("the browser did not lock the pointer", error);
      });
    });
    lock.title = t("menu.unlock");
    const trackpad = toggle(t("menu.pointer.trackpad"), false, (on) => {
      this.input.pointer.trackpad = on;
    });
    trackpad.classList.add("coarse");
    return section(t("menu.pointer"), el("div", { class: "row" }, lock, trackpad));
  }
}

function section(title: string, ...children: readonly Node[]): HTMLElement {
  return el("section", {}, el("h2", {}, title), ...children);
}
