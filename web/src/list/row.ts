/** One session in the list. */
import type { SessionInfo } from "../api/types";
import { exitLine } from "../session/exit";
import { sentences } from "../session/why";
import { button, el } from "../view/dom";
import { age, seconds, stagesOf, stateLabel } from "../view/stages";
import { t } from "../words/words";
import { ACTIONS, isOffered, isSettled } from "./actions";
import type { ActionName } from "./actions";
import type { Frame } from "./thumbs";

export type RowActions = Readonly<Record<ActionName, (info: SessionInfo) => void>>;

/** A list item that keeps its nodes (and so focus and what is open in it) while its session changes. */
export class Row implements Frame {
  readonly #image = el("img", { alt: "", decoding: "async", hidden: "" });
  readonly #now = el("span", { class: "now" });
  readonly #thumb = el("div", { class: "thumb" }, this.#image, this.#now);
  readonly #state = el("span", { class: "state" });
  readonly #facts = el("p", { class: "facts" });
  readonly #exit = el("p", { class: "facts exit" });
  readonly #error = el("p", { class: "error" });
  readonly #stages = el("ol", { class: "stages" });
  readonly #timings = el("details", {}, el("summary", {}, t("list.timings")), this.#stages);
  readonly #buttons: Readonly<Record<ActionName, HTMLButtonElement>>;
  readonly #rest = el("div", { class: "rest", hidden: "" });
  readonly #more: HTMLButtonElement;
  readonly node: HTMLElement;
  #info: SessionInfo | null = null;
  #shown = "";

  constructor(id: string, actions: RowActions) {
    const made = ACTIONS.map((action) => {
      const node = button(labelOf(action), () => {
        if (this.#info !== null) actions[action](this.#info);
      }, KINDS[action] ?? "");
      node.dataset["action"] = action;
      return [action, node] as const;
    });
    this.#buttons = Object.fromEntries(made) as Record<ActionName, HTMLButtonElement>;
    this.#buttons.open.setAttribute("aria-label", t("list.open.of", { id }));
    this.#more = button(t("list.more"), () => {
      this.#rest.hidden = !this.#rest.hidden;
      this.#more.ariaExpanded = String(!this.#rest.hidden);
    });
    this.#more.ariaExpanded = "false";
    this.#more.setAttribute("aria-label", t("list.more.of", { id }));
    this.#rest.append(...made.filter(([action]) => action !== "open" && action !== "resume").map(([, node]) => node));
    const head = el("div", { class: "head" }, el("h2", { class: "id" }, id), this.#state);
    const main = el("div", { class: "actions" }, this.#buttons.open, this.#buttons.resume, this.#more);
    this.node = el("li", { class: "session" }, this.#thumb, el("div", { class: "body" }, head, this.#facts, this.#exit, this.#error, main, this.#rest, this.#timings));
    this.node.dataset["id"] = id;
  }

  get live(): boolean {
    return this.#info?.state === "ready";
  }

  picture(blob: Blob): void {
    const url = URL.createObjectURL(blob);
    const before = this.#image.src;
    this.#image.src = url;
    this.#image.hidden = false;
    this.#image.alt = t("list.picture", { id: this.node.dataset["id"] ?? "" });
    if (before !== "") URL.revokeObjectURL(before);
  }

  show(info: SessionInfo, now: number): void {
    this.#info = info;
    this.#facts.textContent = facts(info, now);
    const key = JSON.stringify(info);
    if (key === this.#shown) return;
    this.#shown = key;
    this.node.dataset["state"] = this.#state.dataset["state"] = info.state;
    this.#state.textContent = stateLabel(info.state);
    this.#error.hidden = info.error === null;
    this.#error.textContent = info.error === null ? "" : sentences(info.error.message, info.error.hint);
    const exit = exitLine(info.egress);
    this.#exit.hidden = exit === null;
    this.#exit.textContent = exit?.text ?? "";
    this.#exit.classList.toggle("bad", exit?.bad === true);
    for (const action of ACTIONS) this.#buttons[action].hidden = !isOffered(action, info);
    this.#buttons.destroy.textContent = t(info.state === "failed" ? "list.remove" : "list.destroy");
    this.#more.hidden = ACTIONS.every((action) => action === "open" || action === "resume" || !isOffered(action, info));
    this.#drawStages(info);
  }

  #drawStages(info: SessionInfo): void {
    const stages = stagesOf(info);
    // Where the picture is, or will be: on its way, the stage; else why there is none.
    const instead = isSettled(info.state) ? stateLabel(info.state) : (stages.at(-1)?.label ?? "");
    this.#now.textContent = info.state === "ready" ? "" : instead;
    this.#timings.hidden = stages.length === 0;
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
}

const KINDS: Partial<Record<ActionName, string>> = { open: "primary", destroy: "danger" };

function labelOf(action: ActionName): string {
  if (action === "shareView") return t("list.share.view");
  if (action === "shareControl") return t("list.share.control");
  return t(`list.${action}`);
}

/** "1280 × 720 · TCG · 2 viewers · ready in 14.2 s · 4 min old · ends in 56 min". Pure. */
export function facts(info: SessionInfo, now: number): string {
  const parts: string[] = [];
  if (info.display.width > 0) parts.push(`${info.display.width} × ${info.display.height}`);
  if (info.template !== "") parts.push(info.template);
  if (info.accelerator !== null) parts.push(info.accelerator.toUpperCase());
  if (info.viewers > 0) parts.push(info.viewers === 1 ? t("list.viewers.one") : t("list.viewers", { count: info.viewers }));
  const ready = info.timings.find(([stage]) => stage === "ready");
  if (ready !== undefined) parts.push(t("list.ready-in", { time: seconds(ready[1]) }));
  if (Number.isFinite(info.createdAt)) parts.push(t("list.age", { age: age(now - info.createdAt) }));
  const over = info.state === "stopped" || info.state === "failed";
  if (info.endsAt !== null && !over) parts.push(t("list.ends-in", { age: age(info.endsAt - now) }));
  return parts.join(" · ");
}
