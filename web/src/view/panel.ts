/** Draws the panel over the picture. */
import type { Action, Panel } from "../session/describe";
import { button, el } from "./dom";
import { seconds } from "./stages";
import type { Stage } from "./stages";

export class PanelView {
  #shown = "";
  #clock: HTMLElement | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly act: (does: Action["does"]) => void,
  ) {}

  /** Redraws only what changed, so that a button under the pointer stays the same button. */
  show(panel: Panel | null): void {
    const key = JSON.stringify(panel);
    if (key === this.#shown) return;
    this.#shown = key;
    this.root.hidden = panel === null;
    this.#clock = null;
    if (panel !== null) this.root.replaceChildren(this.#card(panel));
  }

  /** The time so far of the stage under way, in s. */
  tick(elapsed: number): void {
    if (this.#clock !== null) this.#clock.textContent = seconds(elapsed);
  }

  #card(panel: Panel): HTMLElement {
    const { action } = panel;
    return el(
      "section",
      { class: `card card-${panel.tone}`, role: panel.tone === "bad" ? "alert" : "status" },
      panel.tone === "busy" && panel.stages.length === 0 ? el("span", { class: "spinner", "aria-hidden": "true" }) : null,
      el("h1", {}, panel.title),
      panel.text === "" ? null : el("p", {}, panel.text),
      panel.stages.length === 0 ? null : this.#stages(panel.stages),
      action === null
        ? null
        : button(
            action.label,
            () => {
              this.act(action.does);
            },
            "primary",
          ),
    );
  }

  #stages(stages: readonly Stage[]): HTMLElement {
    const list = el("ol", { class: "stages" });
    for (const stage of stages) {
      const time = el("span", { class: "time" }, stage.seconds === null ? "" : seconds(stage.seconds));
      if (stage.seconds === null) {
        this.#clock = time;
        // It would be read aloud ten times a second.
        time.ariaHidden = "true";
      }
      list.append(
        el(
          "li",
          { class: stage.seconds === null ? "now" : "done" },
          el("span", { class: "dot", "aria-hidden": "true" }),
          el("span", {}, stage.label),
          time,
        ),
      );
    }
    return list;
  }
}
