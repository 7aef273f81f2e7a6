/** The clipboard by hand, for what the browser does not let the page do: the guest's content, and a field to paste into. */
import { button, el } from "../view/dom";
import { SidePanel } from "../view/side";
import { textContent } from "./content";
import type { ClipboardHub } from "./hub";
import { fromPaste, read, write } from "./local";

export class ClipboardPanel {
  readonly #side = new SidePanel("clipboard", () => {
    this.show();
  });
  readonly #guest = el("textarea", { readonly: "", rows: "5", "aria-label": "The desktop's clipboard" });
  readonly #picture = el("img", { alt: "The picture in the desktop's clipboard" });
  readonly #nothing = el("p", {}, "Nothing was copied on the desktop yet.");
  readonly #field = el("textarea", { rows: "4", placeholder: "Paste here", "aria-label": "Text or picture for the desktop" });
  readonly #said = el("p", { role: "status" });
  readonly #copy = button("Copy", () => {
    void this.#toBrowser();
  });
  readonly #down = el("section", {}, el("h2", {}, "From the desktop"), this.#nothing, this.#guest, this.#picture, this.#copy);
  readonly #up: HTMLElement;

  constructor(private readonly hub: ClipboardHub) {
    const send = button("Send", () => {
      void this.#toGuest();
    }, "primary");
    const look = button("Read the browser's", () => {
      void this.#readOwn();
    });
    this.#up = el("section", {}, el("h2", {}, "To the desktop"), this.#field, el("div", { class: "row" }, send, look));
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
    this.#said.textContent = written ? "Copied." : "The browser refused. Select the text and copy it by hand.";
    if (!written) this.#guest.select();
  }

  async #toGuest(): Promise<void> {
    const taken = await this.hub.send(textContent(this.#field.value));
    this.#said.textContent = taken ? "Ready to be pasted on the desktop." : this.hub.trouble;
  }

  async #readOwn(): Promise<void> {
    const content = await read();
    const taken = content !== null && (await this.hub.send(content));
    if (content?.kind === "text") this.#field.value = content.text;
    const refused = content === null ? "The browser gave nothing. Paste into the field instead." : this.hub.trouble;
    this.#said.textContent = taken ? "Ready to be pasted on the desktop." : refused;
  }

  /** Text goes into the field, to be looked at; a picture cannot, and is sent at once. */
  async #pastedPicture(event: ClipboardEvent): Promise<void> {
    const content = await fromPaste(event.clipboardData);
    if (content?.kind !== "png") return;
    const taken = await this.hub.send(content);
    this.#said.textContent = taken ? "The picture is ready to be pasted on the desktop." : this.hub.trouble;
  }
}
