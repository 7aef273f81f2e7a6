/** The host's capacity and health, in one strip. */
import { healthWord, isBad } from "../session/exit";
import { sentences } from "../session/why";
import { el } from "../view/dom";
import { decimal, t } from "../words/words";
import type { HostInfo } from "./host_info";

export class HostView {
  readonly #facts = el("dl", { class: "host-facts" });
  readonly #exits = el("ul", { class: "host-exits" });
  readonly #warning = el("p", { class: "host-warning" });
  #shown = "";

  constructor(private readonly root: HTMLElement) {
    root.append(this.#facts, this.#exits, this.#warning);
  }

  show(host: HostInfo | null): void {
    this.root.hidden = host === null;
    const key = JSON.stringify(host);
    if (host === null || key === this.#shown) return;
    this.#shown = key;
    this.#facts.replaceChildren(...factsOf(host).map(([name, value, tip]) => el("div", { title: tip }, el("dt", {}, name), el("dd", {}, value))));
    this.#exits.hidden = host.egress === null || host.egress.length === 0;
    this.#exits.replaceChildren(
      el("li", { class: "quiet" }, t("host.egress")),
      ...(host.egress ?? []).map(([name, health]) =>
        el("li", {}, el("span", { class: "id" }, name), " ", el("span", { class: isBad(health) ? "bad" : "" }, healthWord(health))),
      ),
    );
    const trouble = host.problem === "" ? "" : sentences(t("host.problem"), host.problem, host.hint);
    this.#warning.textContent = trouble === "" && !host.isolated ? t("host.unisolated") : trouble;
    this.#warning.hidden = this.#warning.textContent === "";
    this.#warning.classList.toggle("bad", trouble !== "");
  }
}

/** Name, value and more about it. Pure. */
export function factsOf(host: HostInfo): (readonly [string, string, string])[] {
  const facts: (readonly [string, string, string])[] = [
    [t("host.sessions"), t("host.of", { count: host.sessions, most: host.maxSessions }), ""],
    [t("host.memory"), gib(host.freeMemoryMib), ""],
    [t("host.disk"), gib(host.freeDiskMib), ""],
    [t("host.pool"), String(host.parked), ""],
  ];
  if (host.accelerator !== "") facts.push([t("host.accelerator"), host.accelerator.toUpperCase(), host.why]);
  return facts;
}

function gib(mib: number): string {
  return `${decimal(mib / 1024, mib < 10_240 ? 1 : 0)}\u00a0GiB`;
}
