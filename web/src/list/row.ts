/** One session in the list. */
import type { SessionInfo } from "../api/types";
import { sentences } from "../session/why";
import { button, el } from "../view/dom";
import { age, seconds, STATE_LABELS, stagesOf } from "../view/stages";
import { isOffered } from "./actions";
import type { ActionName } from "./actions";

export type RowActions = Readonly<Record<ActionName, (id: string) => void>>;

/** How long a first click on Destroy waits for its second, in ms. */
const CONFIRM_MS = 4_000;

/** A list item that keeps its nodes (and so focus and an open stage list) while its session changes. */
export class Row {
  readonly node = el("li", { class: "session" });
  readonly #state = el("span", { class: "state" });
  readonly #facts = el("p", { class: "facts" });
  readonly #error = el("p", { class: "error" });
  readonly #stages = el("ol", { class: "stages" });
  readonly #more = el("details", {}, el("summary", {}, "Timings"), this.#stages);
  readonly #buttons: Readonly<Record<ActionName, HTMLButtonElement>>;
  #confirm: ReturnType<typeof setTimeout> | undefined;
  #shown = "";

  constructor(id: string, actions: RowActions) {
    const destroy = button("Destroy", () => {
      this.#onDestroy(id, actions);
    }, "danger");
    const plain = (action: ActionName, label: string, kind = ""): HTMLButtonElement =>
      button(label, () => {
        actions[action](id);
      }, kind);
    // In the order shown.
    this.#buttons = {
      open: plain("open", "Open", "primary"),
      share: plain("share", "Copy view-only link"),
      suspend: plain("suspend", "Suspend"),
      fork: plain("fork", "Fork"),
      destroy,
    };
    for (const [action, node] of this.#all()) {
      const what = action === "share" ? "Copy view-only link of" : node.textContent;
      node.setAttribute("aria-label", `${what} ${id}`);
    }
    this.node.append(
      el(
        "div",
        { class: "body" },
        el("div", { class: "head" }, el("code", { class: "id" }, id), this.#state),
        this.#facts,
        this.#error,
        this.#more,
      ),
      el("div", { class: "actions" }, ...Object.values(this.#buttons)),
    );
  }

  show(info: SessionInfo, now: number): void {
    this.#facts.textContent = facts(info, now);
    const key = JSON.stringify(info);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#state.textContent = STATE_LABELS[info.state];
    this.#state.dataset["state"] = info.state;
    this.#error.hidden = info.error === null;
    this.#error.textContent = info.error === null ? "" : sentences(info.error.message, info.error.hint);
    for (const [action, node] of this.#all()) node.hidden = !isOffered(action, info.state);
    if (this.#confirm === undefined) this.#buttons.destroy.textContent = destroyLabel(info);
    this.#drawStages(info);
  }

  #all(): [ActionName, HTMLButtonElement][] {
    return Object.entries(this.#buttons) as [ActionName, HTMLButtonElement][];
  }

  #drawStages(info: SessionInfo): void {
    const stages = stagesOf(info);
    this.#more.hidden = stages.length === 0;
    this.#stages.replaceChildren(
      ...stages.map((stage) =>
        el(
          "li",
          { class: stage.seconds === null ? "now" : "done" },
          el("span", { class: "dot", "aria-hidden": "true" }),
          el("span", {}, stage.label),
          el("span", { class: "time" }, stage.seconds === null ? "" : seconds(stage.seconds)),
        ),
      ),
    );
  }

  /** Twice to destroy: it cannot be undone. */
  #onDestroy(id: string, actions: RowActions): void {
    const label = this.#buttons.destroy.textContent;
    if (this.#confirm !== undefined) {
      this.#calm("Destroy");
      actions.destroy(id);
      return;
    }
    this.#buttons.destroy.textContent = "Click again to destroy";
    this.#confirm = setTimeout(() => {
      this.#calm(label);
    }, CONFIRM_MS);
  }

  #calm(label: string): void {
    clearTimeout(this.#confirm);
    this.#confirm = undefined;
    this.#buttons.destroy.textContent = label;
  }
}

function destroyLabel(info: SessionInfo): string {
  return info.state === "failed" ? "Remove" : "Destroy";
}

/** "1280 × 720 · TCG · 2 viewers · ready in 14.2 s · 4 min old · ends in 56 min". Pure. */
export function facts(info: SessionInfo, now: number): string {
  const parts: string[] = [];
  if (info.display.width > 0) parts.push(`${info.display.width} × ${info.display.height}`);
  if (info.template !== "") parts.push(info.template);
  if (info.accelerator !== null) parts.push(info.accelerator.toUpperCase());
  if (info.viewers > 0) parts.push(info.viewers === 1 ? "1 viewer" : `${info.viewers} viewers`);
  const ready = info.timings.find(([stage]) => stage === "ready");
  if (ready !== undefined) parts.push(`ready in ${seconds(ready[1])}`);
  if (Number.isFinite(info.createdAt)) parts.push(`${age(now - info.createdAt)} old`);
  const over = info.state === "stopped" || info.state === "failed";
  if (info.endsAt !== null && !over) parts.push(`ends in ${age(info.endsAt - now)}`);
  return parts.join(" · ");
}
