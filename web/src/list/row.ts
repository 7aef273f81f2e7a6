/** One session in the list. */
import type { SessionInfo } from "../api/types";
import { sentences } from "../session/why";
import { button, el } from "../view/dom";
import { age, seconds, STATE_LABELS, stagesOf } from "../view/stages";

export interface RowActions {
  open(id: string): void;
  share(id: string): void;
  destroy(id: string): void;
}

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
  readonly #open: HTMLButtonElement;
  readonly #share: HTMLButtonElement;
  readonly #destroy: HTMLButtonElement;
  #confirm: ReturnType<typeof setTimeout> | undefined;
  #shown = "";

  constructor(id: string, actions: RowActions) {
    this.#open = button("Open", () => {
      actions.open(id);
    }, "primary");
    this.#share = button("Copy view-only link", () => {
      actions.share(id);
    });
    this.#destroy = button("Destroy", () => {
      this.#onDestroy(id, actions);
    }, "danger");
    for (const [node, what] of [[this.#open, "Open"], [this.#share, "Copy view-only link of"], [this.#destroy, "Destroy"]] as const) {
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
      el("div", { class: "actions" }, this.#open, this.#share, this.#destroy),
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
    const over = info.state === "stopped" || info.state === "failed";
    this.#open.hidden = this.#share.hidden = over || info.state === "stopping";
    this.#destroy.hidden = info.state === "stopping" || info.state === "stopped";
    if (this.#confirm === undefined) this.#destroy.textContent = destroyLabel(info);
    this.#drawStages(info);
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
    const label = this.#destroy.textContent;
    if (this.#confirm !== undefined) {
      this.#calm("Destroy");
      actions.destroy(id);
      return;
    }
    this.#destroy.textContent = "Click again to destroy";
    this.#confirm = setTimeout(() => {
      this.#calm(label);
    }, CONFIRM_MS);
  }

  #calm(label: string): void {
    clearTimeout(this.#confirm);
    this.#confirm = undefined;
    this.#destroy.textContent = label;
  }
}

function destroyLabel(info: SessionInfo): string {
  return info.state === "failed" ? "Remove" : "Destroy";
}

/** "1280 × 720 · TCG · 2 viewers · ready in 14.2 s · 4 min old". Pure. */
export function facts(info: SessionInfo, now: number): string {
  const parts: string[] = [];
  if (info.display.width > 0) parts.push(`${info.display.width} × ${info.display.height}`);
  if (info.template !== "") parts.push(info.template);
  if (info.accelerator !== null) parts.push(info.accelerator.toUpperCase());
  if (info.viewers > 0) parts.push(info.viewers === 1 ? "1 viewer" : `${info.viewers} viewers`);
  const ready = info.timings.find(([stage]) => stage === "ready");
  if (ready !== undefined) parts.push(`ready in ${seconds(ready[1])}`);
  if (Number.isFinite(info.createdAt)) parts.push(`${age(now - info.createdAt)} old`);
  return parts.join(" · ");
}
