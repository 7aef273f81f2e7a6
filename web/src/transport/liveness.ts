/** Whether anything still comes over a connection that should never be quiet for long. Pure; times in ms. */

export class Liveness {
  #silentMs = 0;
  #checkedAt: number | null = null;
  #silent = false;

  /**
   * @param limitMs silence that is too long.
   * @param everyMs how often {@link check} is called. A page that is hidden or sleeps is called later; that is its own
   *   pause, so a check counts for no more than this.
   */
  constructor(
    private readonly limitMs: number,
    private readonly everyMs: number,
  ) {}

  get silent(): boolean {
    return this.#silent;
  }

  get silentMs(): number {
    return this.#silentMs;
  }

  /** Something came. True when that ends a silence. */
  heard(): boolean {
    const ended = this.#silent;
    this.#silent = false;
    this.#silentMs = 0;
    return ended;
  }

  /** Nothing came since the last check, unless {@link heard} was called. True when the silence has become too long. */
  check(now: number): boolean {
    const since = this.#checkedAt === null ? 0 : now - this.#checkedAt;
    this.#checkedAt = now;
    this.#silentMs += Math.min(Math.max(since, 0), this.everyMs);
    if (this.#silent || this.#silentMs < this.limitMs) return false;
    this.#silent = true;
    return true;
  }
}
