/** Small controls that several panels are made of. */
import { chooseTheme, currentTheme, THEMES } from "../words/theme";
import { currentLanguage, keepLanguage, LANGUAGES, t } from "../words/words";
import type { Language } from "../words/words";
import { button, el } from "./dom";

/** One of several, as buttons side by side; `chosen` is told of a choice, {@link Segments.value} shows one. */
export class Segments<T extends string> {
  readonly node: HTMLElement;
  readonly #buttons = new Map<T, HTMLButtonElement>();

  constructor(label: string, options: readonly (readonly [value: T, label: string])[], chosen: (value: T) => void) {
    this.node = el("div", { class: "segments", role: "group", "aria-label": label });
    for (const [value, text] of options) {
      const node = button(text, () => {
        this.value = value;
        chosen(value);
      });
      node.ariaPressed = "false";
      this.#buttons.set(value, node);
      this.node.append(node);
    }
  }

  set value(value: T) {
    for (const [option, node] of this.#buttons) node.ariaPressed = String(option === value);
  }
}

/** A button that is on or off. */
export function toggle(label: string, on: boolean, changed: (on: boolean) => void): HTMLButtonElement {
  const node = button(label, () => {
    node.ariaPressed = String(node.ariaPressed !== "true");
    changed(node.ariaPressed === "true");
  }, "toggle");
  node.ariaPressed = String(on);
  return node;
}

/** Colours and language, for every page. */
export function pageChoices(): HTMLElement[] {
  const theme = new Segments(t("menu.theme"), THEMES.map((name) => [name, t(`menu.theme.${name}`)] as const), chooseTheme);
  theme.value = currentTheme();
  const names = Object.entries(LANGUAGES) as [Language, string][];
  const language = new Segments(t("menu.language"), names, (chosen) => {
    if (chosen === currentLanguage()) return;
    keepLanguage(chosen);
    // What the page shows was said in the other; control and sound outlive a reload.
    location.reload();
  });
  language.value = currentLanguage();
  // Each in its own language, for whoever cannot read the other.
  for (const [index, [tag]] of names.entries()) language.node.children[index]?.setAttribute("lang", tag);
  return [theme.node, language.node];
}
