/** The clipboard by hand, for what the browser does not let the page do: the guest's content, and a field to paste into. */
import { button, el } from "../view/dom";
import { SidePanel } from "../view/side";
import { textContent } from "./content";
import type { ClipboardHub } from "./hub";
import { fromPaste, read, write } from "./local";
import { t } from "../words/words";

export class ClipboardPanel {
  readonly #side = new SidePanel("clipboard", () => {
    this.show();
  });
  readonly #guest = el("textarea", { readonly: "", rows: "5", "aria-label": t("clipboard.guest") });
  readonly #picture = el("img", { alt: t("clipboard.picture") });
  readonly #nothing = el("p", {}, t("clipboard.nothing"));
  readonly #field = el("textarea", { rows: "4", placeholder: t("clipboard.paste"), "aria-label": t("clipboard.field") });
  readonly #said = el("p", { role: "status" });
  readonly #copy = button(t("clipboard.copy"), () => {
    void this.#toBrowser();
  });
  readonly #down = el("section", {}, el("h2", {}, t("clipboard.from")), this.#nothing, this.#guest, this.#picture, this.#copy);
  readonly #up: HTMLElement;

  constructor(private readonly hub: ClipboardHub) {
    const send = button(t("clipboard.send"), () => {
      void this.#toGuest();
    }, "primary");
    const look = button(t("clipboard.read"), () => {
      void this.#readOwn();
    });
    this.#up = el("section", {}, el("h2", {}, t("clipboard.to")), this.#field, el("div", { class: "row" }, send, look));
    this.#field.addEventListener("paste", (event) => {
      void this.#pastedPicture(event);
    });
    this.#side.root.append(this.#down, this.#up, this.#said);
  }

  show(): void {
    const { allowed, guest, trouble, waiting } = this.hub;
    this.#side.available = allowed.toGuest || allowed.toViewer;
    this.#side.button.dataset["news"] = String(waiting || trouble !== "");
    this.#up.hidden = !allowed.toGuest;
    this.#down.hidden = !allowed.toViewer;
    if (!this.#side.open) return;
    this.#nothing.hidden = guest !== null;
    this.#guest.hidden = guest?.kind !== "text";
    this.#guest.value = guest?.kind === "text" ? guest.text : "";
    this.#picture.hidden = guest?.kind !== "png";
    URL.revokeObjectURL(this.#picture.src);
    this.#picture.removeAttribute("src");
    if (guest?.kind === "png") this.#picture.src = URL.createObjectURL(new Blob([guest.data], { type: "image/png" }));
    this.#copy.hidden = guest === null;
    this.#said.textContent = trouble;
  }

  async #toBrowser(): Promise<void> {
    const { guest } = this.hub;
    if (guest === null) return;
    const written = await write(guest);
    this.#said.textContent = written ? t("clipboard.copied") : t("clipboard.refused");
    if (!written) this.#guest.select();
  }

  async #toGuest(): Promise<void> {
    const taken = await this.hub.send(textContent(this.#field.value));
    this.#said.textContent = taken ? t("clipboard.sent") : this.hub.trouble;
  }

  async #readOwn(): Promise<void> {
    const content = await read();
    const taken = content !== null && (await this.hub.send(content));
    if (content?.kind === "text") this.#field.value = content.text;
    const refused = content === null ? t("clipboard.unread") : this.hub.trouble;
    this.#said.textContent = taken ? t("clipboard.sent") : refused;
  }

  /** Text goes into the field, to be looked at; a picture cannot, and is sent at once. */
  async #pastedPicture(event: ClipboardEvent): Promise<void> {
    const content = await fromPaste(event.clipboardData);
    if (content?.kind !== "png") return;
    const taken = await this.hub.send(content);
    this.#said.textContent = taken ? t("clipboard.sent.picture") : this.hub.trouble;
  }
}
