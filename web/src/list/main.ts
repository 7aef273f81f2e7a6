/** The dashboard: lists sessions with live pictures, creates, opens, shares, keeps and ends them; shows the host's health. */
import "../words/start";
import { claim } from "../api/credentials";
import { problemOf } from "../api/http";
import { tab } from "../api/storage";
import type { Problem, Role, SessionInfo } from "../api/types";
import { sentences } from "../session/why";
import { pageChoices } from "../view/choices";
import { byId, el } from "../view/dom";
import { timeOfDay } from "../view/stages";
import { t } from "../words/words";
import { isSettled } from "./actions";
import { confirmed, written } from "./dialogs";
import { Gateway } from "./gateway";
import { HostView } from "./host";
import { Row } from "./row";
import type { RowActions } from "./row";
import { Thumbs } from "./thumbs";

const KEY_SLOT = "fenster.key";
/** The API has no stream of all sessions: it is asked this often while one is on its way, and else, in ms. */
const BUSY_MS = 1_000;
const CALM_MS = 3_000;
/** The host is asked with every so many lists. */
const HOST_EVERY = 3;
const HOUR_S = 3600;
const TTL_HOURS = [1, 4, 8, 24];
/** The gateway's TEMPLATE_NAME (sessions/record.py). */
const TEMPLATE_NAME = "[a-z0-9][a-z0-9\\-]{0,31}";

class ListPage {
  readonly #login = byId("login", HTMLFormElement);
  readonly #keyField = byId("key", HTMLInputElement);
  readonly #create = byId("create", HTMLFormElement);
  readonly #createButton = byId("create-button", HTMLButtonElement);
  readonly #display = byId("display", HTMLSelectElement);
  readonly #template = byId("template", HTMLSelectElement);
  readonly #ttl = byId("ttl", HTMLSelectElement);
  readonly #list = byId("sessions", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #notice = byId("notice", HTMLElement);
  readonly #host = new HostView(byId("host", HTMLElement));
  readonly #thumbs = new Thumbs();
  readonly #rows = new Map<string, Row>();
  #lists = 0;
  #gateway: Gateway | null = null;
  #asking: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The notice is about the list not coming, so the list's coming takes it away. */
  #unheard = false;

  constructor() {
    byId("choices", HTMLElement).append(...pageChoices());
    this.#ttl.append(
      el("option", { value: "" }, t("list.default")),
      ...TTL_HOURS.map((count) => el("option", { value: String(count * HOUR_S) }, t("list.hours", { count }))),
    );
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
    this.#thumbs.gateway = this.#gateway;
    if (key !== "") tab.set(KEY_SLOT, key);
    this.#login.hidden = key !== "";
    this.#create.hidden = key === "";
    this.#say(null);
    if (this.#gateway === null) {
      this.#host.show(null);
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
      // The list is of use without it.
      if (this.#lists % HOST_EVERY === 0) this.#host.show(await gateway.host(asking.signal).catch(() => null));
      this.#lists += 1;
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
      this.#thumbs.drop(id);
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
    const row = new Row(id, this.#actions);
    this.#rows.set(id, row);
    this.#thumbs.add(id, row);
    return row;
  }

  /** With the list drawn anew after it. */
  readonly #actions: RowActions = {
    open: ({ id }) => void this.#attempt(async (gateway) => {
      openTab(await gateway.link(id, "control"));
    }),
    shareView: ({ id }) => void this.#share(id, "view"),
    shareControl: ({ id }) => void this.#share(id, "control"),
    suspend: ({ id }) => void this.#change((gateway) => gateway.suspend(id)),
    resume: ({ id }) => void this.#change((gateway) => gateway.resume(id)),
    fork: ({ id }) => void this.#change(async (gateway) => {
      openTab((await gateway.fork(id)).viewerUrl);
    }),
    save: ({ id }) => void this.#save(id),
    extend: ({ id, endsAt }) => void this.#change(async (gateway) => {
      const leftS = Math.max(0, ((endsAt ?? 0) - Date.now()) / 1000);
      const time = await gateway.live(id, leftS + HOUR_S);
      if (time !== null) this.#tell(t("list.extend.done", { id, time: timeOfDay(time) }));
    }),
    unlimit: ({ id }) => void this.#change(async (gateway) => {
      await gateway.live(id, null);
      this.#tell(t("list.unlimit.done", { id }));
    }),
    destroy: (info) => void this.#destroy(info),
  };

  async #destroy({ id, state }: SessionInfo): Promise<void> {
    // Of a failed one nothing is left to lose.
    const sure = state === "failed" || (await confirmed(t("list.destroy.title", { id }), t("list.destroy.text"), t("list.destroy")));
    if (!sure) return;
    await this.#change(async (gateway) => {
      const gone = gateway.destroy(id);
      void this.#refresh();
      await gone;
    });
  }

  async #save(id: string): Promise<void> {
    const name = await written(t("list.save.title", { id }), t("list.save.text"), t("list.save.field"), TEMPLATE_NAME, t("list.save.go"));
    if (name === null) return;
    await this.#change(async (gateway) => {
      await gateway.saveTemplate(id, name);
      await this.#loadTemplates(gateway);
      this.#tell(t("list.save.done", { name }));
    });
  }

  async #onCreate(): Promise<void> {
    const [width, height] = this.#display.value.split("x").map(Number);
    const display = width !== undefined && height !== undefined ? { width, height } : null;
    const template = this.#template.value === "" ? null : this.#template.value;
    this.#createButton.disabled = true;
    await this.#attempt(async (gateway) => {
      const ttlS = this.#ttl.value === "" ? null : Number(this.#ttl.value);
      const created = await gateway.create(display, template, ttlS);
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
        this.#tell(t(`list.share.${role}.done`));
      } catch {
        // No clipboard without TLS, or not allowed: it can be copied by hand.
        this.#tell(t("list.share.manual"), link);
      }
    });
  }

  async #loadTemplates(gateway: Gateway): Promise<void> {
    const names = await gateway.templates().catch(() => []);
    this.#template.replaceChildren(el("option", { value: "" }, t("list.default")), ...names.map((name) => el("option", { value: name }, name)));
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

  /** Do it, and draw the list anew. */
  async #change(action: (gateway: Gateway) => Promise<void>): Promise<void> {
    await this.#attempt(async (gateway) => {
      await action(gateway);
      await this.#refresh();
    });
  }

  #refuse(problem: Problem): void {
    tab.remove(KEY_SLOT);
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
