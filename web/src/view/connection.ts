/** The panel "Connection": what gets through, in one sentence and one by one, and a button that tests it anew. */
import { exitTrouble, exitWord } from "../session/exit";
import type { Access } from "../session/runner";
import { pathOf } from "../session/machine";
import type { State } from "../session/machine";
import type { EgressInfo } from "../api/types";
import { verdictOf } from "../session/verdict";
import { SelfTest } from "../transport/self_test";
import { t } from "../words/words";
import { button, el } from "./dom";
import { SidePanel } from "./side";

const PATHS = ["udp", "tcp", "ws"] as const;

export class ConnectionPanel {
  readonly #test: SelfTest;
  readonly #side = new SidePanel("connection", () => {
    if (PATHS.some((path) => this.#test.found[path] === "unknown")) this.#run();
  });
  readonly #verdict = el("p", { role: "status", id: "verdict" });
  readonly #rows = el("dl", { class: "facts" });
  readonly #again = button(t("connection.again"), () => {
    this.#run();
  });

  readonly #exit = el("p", { id: "exit" });
  #egress: EgressInfo | null = null;

  constructor(access: Access) {
    const parts = [el("h2", {}, t("connection.name")), this.#verdict, this.#exit, this.#rows, this.#again];
    this.#side.root.append(el("section", {}, ...parts));
    this.#test = new SelfTest(access, () => {
      this.#draw();
    });
    this.#draw();
  }

  /** What costs nothing, when the page opens. */
  start(): void {
    this.#test.trySocket().catch((error: unknown) => {
      console.warn("no WebSocket could be tried", error);
    });
  }

  show(state: State): void {
    this.#side.available = state.session?.state === "ready";
    if (state.gap === null) this.#test.saw(pathOf(state.phase));
    const egress = state.session?.egress ?? null;
    if (JSON.stringify(egress) === JSON.stringify(this.#egress)) return;
    this.#egress = egress;
    this.#draw();
  }

  forget(): void {
    this.#test.forget();
  }

  /** Empty while too little is known to be of use. */
  get verdict(): string {
    const { found } = this.#test;
    return found.udp === "unknown" && found.tcp === "unknown" ? "" : verdictOf(found);
  }

  #run(): void {
    this.#test.run().catch((error: unknown) => {
      console.warn("the test was not finished", error);
    });
  }

  #draw(): void {
    const { found, running } = this.#test;
    this.#verdict.textContent = running ? t("connection.testing") : verdictOf(found);
    const facts = PATHS.map((path): [string, string] => [t(`connection.${path}`), t(`connection.${found[path]}`)]);
    if (found.decoder !== undefined) facts.push([t("connection.decoder"), found.decoder ?? t("connection.decoder.none")]);
    const exit = exitWord(this.#egress);
    if (exit !== null) facts.push([t("connection.exit"), exit]);
    this.#exit.textContent = exitTrouble(this.#egress);
    this.#exit.hidden = this.#exit.textContent === "";
    this.#rows.replaceChildren(...facts.flatMap(([label, value]) => [el("dt", {}, label), el("dd", {}, value)]));
    // Not disabled, which would take the focus from it.
    this.#again.setAttribute("aria-disabled", String(running));
  }
}
