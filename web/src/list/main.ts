/** The page that lists sessions, creates, opens and destroys them. */
import { claim } from "../api/credentials";
import { problemOf } from "../api/http";
import type { Problem, Role, SessionInfo } from "../api/types";
import { sentences } from "../session/why";
import { byId, el } from "../view/dom";
import { isSettled } from "./actions";
import { Gateway } from "./gateway";
import { Row } from "./row";

const KEY_SLOT = "fenster.key";
/** The API has no stream of all sessions: it is asked this often while one is on its way, and else, in ms. */
const BUSY_MS = 1_000;
const CALM_MS = 3_000;

class ListPage {
  readonly #login = byId("login", HTMLFormElement);
  readonly #keyField = byId("key", HTMLInputElement);
  readonly #create = byId("create", HTMLFormElement);
  readonly #createButton = byId("create-button", HTMLButtonElement);
  readonly #display = byId("display", HTMLSelectElement);
  readonly #template = byId("template", HTMLSelectElement);
  readonly #list = byId("sessions", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #notice = byId("notice", HTMLElement);
  readonly #rows = new Map<string, Row>();
  #gateway: Gateway | null = null;
  #asking: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The notice is about the list not coming, so the list's coming takes it away. */
  #unheard = false;

  constructor() {
    this.#login.addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter(this.#keyField.value.trim());
    });
    this.#create.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#onCreate();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.#refresh();
    });
  }

  /** Go on with this API key; without one, ask for it. */
  enter(key: string): void {
    this.#gateway = key === "" ? null : new Gateway(key);
    if (key !== "") sessionStorage.setItem(KEY_SLOT, key);
    this.#login.hidden = key !== "";
    this.#create.hidden = key === "";
    this.#say(null);
    if (this.#gateway === null) {
      this.#keyField.focus();
      return;
    }
    void this.#refresh();
    void this.#loadTemplates(this.#gateway);
  }

  async #refresh(): Promise<void> {
    const gateway = this.#gateway;
    if (gateway === null) return;
    clearTimeout(this.#timer);
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    let pause = CALM_MS;
    try {
      const sessions = await gateway.list(asking.signal);
      if (this.#asking !== asking) return;
      this.#draw(sessions);
      if (this.#unheard) this.#say(null);
      if (sessions.some((info) => !isSettled(info.state))) pause = BUSY_MS;
    } catch (error) {
      if (asking.signal.aborted) return;
      const problem = problemOf(error);
      if (problem.status === 401 || problem.status === 403) {
        this.#refuse(problem);
        return;
      }
      this.#say(problem);
      this.#unheard = true;
    }
    if (document.visibilityState === "visible") {
      this.#timer = setTimeout(() => {
        void this.#refresh();
      }, pause);
    }
  }

  #draw(sessions: readonly SessionInfo[]): void {
    const now = Date.now();
    const newestFirst = [...sessions].sort((one, other) => (other.createdAt || 0) - (one.createdAt || 0));
    const seen = new Set(newestFirst.map((info) => info.id));
    for (const [id, row] of this.#rows) {
      if (seen.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    newestFirst.forEach((info, index) => {
      const row = this.#rows.get(info.id) ?? this.#newRow(info.id);
      row.show(info, now);
      // Moved only when out of place: moving a node closes what is open in it and drops the focus.
      if (this.#list.children[index] !== row.node) this.#list.insertBefore(row.node, this.#list.children[index] ?? null);
    });
    this.#empty.hidden = newestFirst.length > 0;
  }

  #newRow(id: string): Row {
    const row = new Row(id, {
      open: (of) => void this.#attempt(async (gateway) => {
        openTab(await gateway.link(of, "control"));
      }),
      share: (of) => void this.#share(of, "view"),
      suspend: (of) => void this.#attempt(async (gateway) => {
        await gateway.suspend(of);
        await this.#refresh();
      }),
      fork: (of) => void this.#attempt(async (gateway) => {
        openTab((await gateway.fork(of)).viewerUrl);
        await this.#refresh();
      }),
      destroy: (of) => void this.#attempt(async (gateway) => {
        const gone = gateway.destroy(of);
        void this.#refresh();
        await gone;
        await this.#refresh();
      }),
    });
    this.#rows.set(id, row);
    return row;
  }

  async #onCreate(): Promise<void> {
    const [width, height] = this.#display.value.split("x").map(Number);
    const display = width !== undefined && height !== undefined ? { width, height } : null;
    const template = this.#template.value === "" ? null : this.#template.value;
    this.#createButton.disabled = true;
    await this.#attempt(async (gateway) => {
      const created = await gateway.create(display, template);
      openTab(created.viewerUrl);
      await this.#refresh();
    });
    this.#createButton.disabled = false;
  }

  async #share(id: string, role: Role): Promise<void> {
    await this.#attempt(async (gateway) => {
      const link = new URL(await gateway.link(id, role), location.href).href;
      try {
        await navigator.clipboard.writeText(link);
        this.#tell("The view-only link is in your clipboard.");
      } catch {
        // No clipboard without TLS, or not allowed: it can be copied by hand.
        this.#tell("Copy this view-only link:", link);
      }
    });
  }

  async #loadTemplates(gateway: Gateway): Promise<void> {
    const names = await gateway.templates().catch(() => []);
    this.#template.replaceChildren(el("option", { value: "" }, "Default"), ...names.map((name) => el("option", { value: name }, name)));
    byId("template-field", HTMLElement).hidden = names.length < 2;
  }

  async #attempt(action: (gateway: Gateway) => Promise<void>): Promise<void> {
    if (this.#gateway === null) return;
    this.#say(null);
    try {
      await action(this.#gateway);
    } catch (error) {
      this.#say(problemOf(error));
    }
  }

  #refuse(problem: Problem): void {
    sessionStorage.removeItem(KEY_SLOT);
    this.#draw([]);
    this.#empty.hidden = true;
    this.enter("");
    this.#say(problem);
  }

  #say(problem: Problem | null): void {
    this.#unheard = false;
    this.#notice.hidden = problem === null;
    this.#notice.className = "notice bad";
    this.#notice.setAttribute("role", "alert");
    this.#notice.textContent = problem === null ? "" : sentences(problem.detail, problem.hint);
  }

  #tell(message: string, link = ""): void {
    this.#notice.hidden = false;
    this.#notice.className = "notice";
    this.#notice.setAttribute("role", "status");
    this.#notice.replaceChildren(message, link === "" ? "" : " ", link === "" ? "" : el("code", {}, link));
  }
}

/** A tab of its own that does not inherit this tab's storage, where the API key is. */
function openTab(path: string): void {
  el("a", { href: path, target: "_blank", rel: "noopener" }).click();
}

window.addEventListener("hashchange", () => {
  location.reload();
});
new ListPage().enter(claim("key", KEY_SLOT));
