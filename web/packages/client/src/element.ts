/**
 * `<fenster-desktop src="https://desk.example/embed/..." bar="none" readonly>`: {@link FensterClient} as an element.
 * Importing this module defines it. Its events are those of the protocol, each in the `detail` of a CustomEvent.
 */
import { FensterClient, FensterError } from "./client.js";
import type { FensterOptions } from "./client.js";
import type { Keys } from "./protocol.js";

const EVENTS = ["ready", "state", "transport", "stats", "clipboard", "control", "closing", "closed"] as const;

// A server that renders pages has no HTMLElement, and must be able to import this.
const Base = (globalThis as { HTMLElement?: typeof HTMLElement }).HTMLElement ?? (Object as unknown as typeof HTMLElement);

export class FensterDesktop extends Base {
  static readonly observedAttributes = ["src", "bar", "readonly"];
  #client: FensterClient | null = null;
  #url: FensterOptions["url"] | null = null;

  /** The same as `src`, but may be a function (see FensterOptions.url). Set it before or after `src`; it goes before. */
  get url(): FensterOptions["url"] | null {
    return this.#url ?? this.getAttribute("src");
  }

  set url(url: FensterOptions["url"] | null) {
    this.#url = url;
    this.#mount();
  }

  /** Null while the element is not on a page, or has no address. */
  get client(): FensterClient | null {
    return this.#client;
  }

  connectedCallback(): void {
    // Set before this module was there, it is a property of the element's own and hides the accessor.
    if (Object.hasOwn(this, "url")) {
      const { url } = this;
      Reflect.deleteProperty(this, "url");
      this.#url = url;
    }
    this.#mount();
  }

  disconnectedCallback(): void {
    this.#unmount();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (name !== "readonly") this.#mount();
    else this.#client?.setReadOnly(after !== null).catch(() => undefined);
  }

  async connect(): Promise<void> {
    await this.#mounted().connect();
  }

  async disconnect(): Promise<void> {
    await this.#mounted().disconnect();
  }

  async setReadOnly(readOnly: boolean): Promise<void> {
    await this.#mounted().setReadOnly(readOnly);
  }

  async requestControl(): Promise<void> {
    await this.#mounted().requestControl();
  }

  async releaseControl(): Promise<void> {
    await this.#mounted().releaseControl();
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#mounted().resize(width, height);
  }

  async paste(content: string | Blob): Promise<void> {
    await this.#mounted().paste(content);
  }

  async sendKeys(...keys: readonly (string | Keys)[]): Promise<void> {
    await this.#mounted().sendKeys(...keys);
  }

  async screenshot(): Promise<Blob> {
    return this.#mounted().screenshot();
  }

  #mounted(): FensterClient {
    if (this.#client === null) throw new FensterError("not-mounted", "The element is not on a page, or has no address.");
    return this.#client;
  }

  #mount(): void {
    this.#unmount();
    const { url } = this;
    if (url === null || url === "" || !this.isConnected) return;
    this.#client = new FensterClient(this.#root(), {
      url,
      bar: this.getAttribute("bar") === "none" ? "none" : "slim",
      readOnly: this.hasAttribute("readonly"),
      title: this.title === "" ? "Desktop" : this.title,
    });
    for (const type of EVENTS) {
      this.#client.on(type, (detail) => {
        this.dispatchEvent(new CustomEvent(type, { detail }));
      });
    }
  }

  #unmount(): void {
    this.#client?.destroy();
    this.#client = null;
  }

  /** The page's styles do not reach the frame, and the page's Content-Security-Policy allows this way of styling. */
  #root(): ShadowRoot {
    if (this.shadowRoot !== null) return this.shadowRoot;
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(":host { display: grid; min-height: 240px } :host([hidden]) { display: none }");
    root.adoptedStyleSheets = [sheet];
    return root;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "fenster-desktop": FensterDesktop;
  }
}

const registry = (globalThis as { customElements?: CustomElementRegistry }).customElements;
if (registry !== undefined && registry.get("fenster-desktop") === undefined) registry.define("fenster-desktop", FensterDesktop);
