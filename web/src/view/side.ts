/** A panel beside the picture that a button of the bar opens and closes. One is open at a time. */
import { byId } from "./dom";

const panels = new Set<SidePanel>();

export class SidePanel {
  /** Told whether any is open. */
  static anyOpen: (open: boolean) => void = () => undefined;

  readonly button: HTMLButtonElement;
  readonly root: HTMLElement;

  /** `opened` is called each time it is opened; nothing of the desktop takes the focus from it then. */
  constructor(id: string, private readonly opened: () => void) {
    this.button = byId(id, HTMLButtonElement);
    this.root = byId(`${id}-panel`, HTMLElement);
    panels.add(this);
    this.button.addEventListener("click", (event) => {
      this.open = this.root.hidden;
      // The bar would give the focus back to the desktop.
      if (this.open) event.stopPropagation();
      // Opened by a key, it is used by keys.
      if (this.open && event.detail === 0) this.root.querySelector<HTMLElement>("button:not([hidden]), textarea")?.focus();
    });
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.open = false;
      this.button.focus();
    });
  }

  /** May it be used at all? */
  set available(available: boolean) {
    this.button.hidden = !available;
    if (!available) this.open = false;
  }

  get open(): boolean {
    return !this.root.hidden;
  }

  set open(open: boolean) {
    if (open === this.open) return;
    if (open) for (const other of panels) if (other !== this) other.open = false;
    this.root.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    SidePanel.anyOpen([...panels].some((panel) => panel.open));
    if (open) this.opened();
  }
}
