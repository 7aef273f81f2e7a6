/**
 * The browser's storage, of this tab and of this device. In another site's frame it may be refused, and even looking at
 * it may throw; what is kept is then kept for this page alone.
 */
class Kept {
  readonly #page = new Map<string, string>();

  constructor(private readonly storage: () => Storage) {}

  get(slot: string): string | null {
    try {
      return this.storage().getItem(slot) ?? this.#page.get(slot) ?? null;
    } catch {
      return this.#page.get(slot) ?? null;
    }
  }

  set(slot: string, value: string): void {
    try {
      this.storage().setItem(slot, value);
    } catch {
      this.#page.set(slot, value);
    }
  }

  remove(slot: string): void {
    this.#page.delete(slot);
    try {
      this.storage().removeItem(slot);
    } catch {
      return;
    }
  }
}

export const tab = new Kept(() => sessionStorage);
export const device = new Kept(() => localStorage);
