/** Whose picture is fetched next: one at a time, of those that can be seen, the one that is oldest. Pure. */

/** A picture is asked for again after so long, in ms. */
export const FRESH_MS = 5_000;
/** After a failure, so that a desktop that gives none is not asked all the time. */
export const FAILED_MS = 20_000;

export class Turns {
  readonly #dueAt = new Map<string, number>();

  /** These can be seen and have a picture to give; the others are forgotten. */
  next(seen: readonly string[], now: number): string | null {
    for (const id of this.#dueAt.keys()) if (!seen.includes(id)) this.#dueAt.delete(id);
    const due = seen.filter((id) => (this.#dueAt.get(id) ?? 0) <= now);
    due.sort((one, other) => (this.#dueAt.get(one) ?? 0) - (this.#dueAt.get(other) ?? 0));
    return due[0] ?? null;
  }

  done(id: string, came: boolean, now: number): void {
    this.#dueAt.set(id, now + (came ? FRESH_MS : FAILED_MS));
  }
}
