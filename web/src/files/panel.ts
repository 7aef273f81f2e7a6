/** Files to and from the desktop: dropped onto the picture or chosen, and a list of what can be fetched. */
import { problemOf } from "../api/http";
import type { FILES_POLICIES } from "../api/types";
import type { Access } from "../session/runner";
import { button, el, save } from "../view/dom";
import { SidePanel } from "../view/side";
import { download, FOLDER, list, upload } from "./gateway";
import type { Entry, Progress } from "./gateway";
import { size } from "./names";
import { t } from "../words/words";

type Policy = (typeof FILES_POLICIES)[number];

export class FilesPanel {
  readonly #side = new SidePanel("files", () => {
    void this.#refresh();
  });
  readonly #chooser = el("input", { type: "file", multiple: "", hidden: "" });
  readonly #choose = button(t("files.upload"), () => {
    this.#chooser.click();
  }, "primary");
  readonly #transfers = el("ul", { class: "transfers" });
  readonly #entries = el("ul", { class: "entries" });
  readonly #said = el("p", { role: "status" });
  readonly #down: HTMLElement;
  #policy: Policy = "off";
  /** One upload after the other: side by side each would only be slower. */
  #queue: Promise<void> = Promise.resolve();

  constructor(
    private readonly access: Access,
    private readonly stage: HTMLElement,
  ) {
    const refresh = button(t("files.refresh"), () => {
      void this.#refresh();
    });
    this.#down = el("section", {}, el("h2", {}, t("files.folder", { folder: FOLDER })), this.#entries, this.#said, refresh);
    this.#side.root.append(el("section", {}, el("h2", {}, t("files.name")), this.#choose, this.#chooser, this.#transfers), this.#down);
    this.#chooser.addEventListener("change", () => {
      this.#upload([...(this.#chooser.files ?? [])]);
      this.#chooser.value = "";
    });
    stage.addEventListener("dragover", this.#over);
    stage.addEventListener("dragleave", this.#out);
    stage.addEventListener("drop", this.#drop);
  }

  allow(policy: Policy): void {
    if (policy === this.#policy) return;
    this.#policy = policy;
    this.#side.available = policy !== "off";
    this.#choose.hidden = !this.#mayUpload;
    this.#down.hidden = policy === "upload";
  }

  get #mayUpload(): boolean {
    return this.#policy === "upload" || this.#policy === "both";
  }

  readonly #over = (event: DragEvent): void => {
    if (!this.#mayUpload || event.dataTransfer?.types.includes("Files") !== true) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    this.stage.dataset["drop"] = "over";
  };

  readonly #out = (): void => {
    delete this.stage.dataset["drop"];
  };

  readonly #drop = (event: DragEvent): void => {
    this.#out();
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0) return;
    // Not even where nothing may be uploaded: the browser would open the file instead of the desktop.
    event.preventDefault();
    if (!this.#mayUpload) return;
    this.#side.open = true;
    this.#upload(files);
  };

  #upload(files: readonly File[]): void {
    for (const file of files) {
      const row = this.#row(file.name);
      this.#queue = this.#queue.then(async () => {
        await row.run(async (progress, signal) => {
          const name = await upload(this.access, file, progress, signal);
          return name === file.name ? t("files.done", { folder: FOLDER }) : t("files.done.as", { folder: FOLDER, name });
        });
        await this.#refresh();
      });
    }
  }

  async #refresh(): Promise<void> {
    if (this.#down.hidden || !this.#side.open) return;
    try {
      const entries = await list(this.access);
      this.#entries.replaceChildren(...entries.map((entry) => this.#entry(entry)));
      this.#said.textContent = entries.length === 0 ? t("files.nothing") : "";
    } catch (error) {
      const { detail, hint } = problemOf(error);
      this.#said.textContent = `${detail} ${hint}`.trim();
    }
  }

  #entry(entry: Entry): HTMLElement {
    const fetch = button(t("files.download"), () => {
      void this.#row(entry.name).run(async (progress, signal) => {
        save(await download(this.access, entry, progress, signal), entry.name);
        return t("files.downloaded");
      });
    });
    return el("li", {}, el("span", { class: "name", title: entry.name }, entry.name), el("span", { class: "size" }, size(entry.size)), fetch);
  }

  #row(name: string): Row {
    const row = new Row(name);
    this.#transfers.prepend(row.node);
    return row;
  }
}

/** One transfer, with how far it is and a button that gives it up. */
class Row {
  readonly #bar = el("progress", { max: "1", value: "0" });
  readonly #said = el("span", { class: "size" }, t("files.waiting"));
  readonly #abort = new AbortController();
  readonly #stop = button(t("files.cancel"), () => {
    this.#abort.abort();
  });
  readonly node: HTMLElement;

  constructor(name: string) {
    this.#bar.setAttribute("aria-label", name);
    this.node = el("li", {}, el("span", { class: "name", title: name }, name), this.#said, this.#bar, this.#stop);
  }

  /** `work` says what to show when it is done. Never rejects. */
  async run(work: (progress: Progress, signal: AbortSignal) => Promise<string>): Promise<void> {
    try {
      this.#abort.signal.throwIfAborted();
      this.#said.textContent = await work(this.#progress, this.#abort.signal);
      this.node.dataset["outcome"] = "done";
    } catch (error) {
      const { detail, hint } = problemOf(error);
      this.#said.textContent = this.#abort.signal.aborted ? t("files.cancelled") : `${detail} ${hint}`.trim();
      this.node.dataset["outcome"] = this.#abort.signal.aborted ? "cancelled" : "failed";
    }
    this.#bar.hidden = this.#stop.hidden = true;
  }

  readonly #progress: Progress = (done, total) => {
    this.#bar.value = total === 0 ? 1 : done / total;
    this.#said.textContent = t("files.progress", { done: size(done), total: size(total) });
  };
}
