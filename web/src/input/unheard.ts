/**
 * Keys of which the agent has not said that they counted: sent by a connection that may be dying, or not sent because
 * none is there by which they would. They are said again by the next one. Pure.
 *
 * All connections of the page share one count, so that the agent's word (messages.py: Taken) means the same in each.
 */
import type { KeyOp } from "./keyboard";

/** Most that are kept; what comes on top is not. Who types blind for longer has stopped looking at the screen. */
const MAX_KEPT = 256;
/** Older ones are dropped: nobody wants to see them done any more. In ms. */
export const MAX_AGE_MS = 10_000;

interface Entry {
  readonly seq: number;
  readonly op: KeyOp;
  readonly at: number;
  /** The connection by which it is under way; null when by none. */
  readonly by: object | null;
}

export class Unheard {
  #entries: Entry[] = [];
  #next: number;
  /** An agent that never says what it took would be told all twice. */
  #told = false;
  /** Called after each change; {@link size} may be another. */
  onChange: () => void = () => undefined;

  /** @param start of the count, a u32: by chance, so that no other page's numbers are taken for this one's. */
  constructor(start: number) {
    this.#next = start >>> 0;
  }

  /** The number of the next message. It wraps as a u32. */
  count(): number {
    const seq = this.#next;
    this.#next = (seq + 1) >>> 0;
    return seq;
  }

  /** `op` is message `seq`, sent `by` a connection, or by none yet; `now` in ms. */
  keep(seq: number, op: KeyOp, by: object | null, now: number): void {
    this.#expire(now);
    if (this.#entries.length < MAX_KEPT) this.#entries.push({ seq, op, at: now, by });
    this.onChange();
  }

  /** How many keys are kept. */
  get size(): number {
    return this.#entries.length;
  }

  /** What is under way by this connection does not count. */
  lost(by: object): void {
    this.#entries = this.#entries.map((entry) => (entry.by === by ? { ...entry, by: null } : entry));
  }

  /** The agent took all up to `seq`. */
  taken(seq: number): void {
    this.#told = true;
    const at = this.#entries.findIndex((entry) => entry.seq === seq);
    this.#entries.splice(0, at + 1);
    this.onChange();
  }

  /** What `by` is to say, in order, since it is not under way by it; kept no more. `now` in ms. */
  due(by: object, now: number): readonly KeyOp[] {
    this.#expire(now);
    const due = this.#entries.filter((entry) => entry.by !== by);
    this.#entries = this.#entries.filter((entry) => entry.by === by);
    this.onChange();
    return this.#told ? due.map(({ op }) => op) : [];
  }

  /** Another controls, or nobody is to: what was typed before is not for now. */
  forget(): void {
    if (this.#entries.length === 0) return;
    this.#entries = [];
    this.onChange();
  }

  #expire(now: number): void {
    const young = this.#entries.findIndex(({ at }) => now - at < MAX_AGE_MS);
    if (young !== 0) this.#entries.splice(0, young === -1 ? this.#entries.length : young);
  }
}
