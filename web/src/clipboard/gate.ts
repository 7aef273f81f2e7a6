/**
 * Keeps keys back while a clipboard is under way, so that Ctrl+V reaches the guest after what it is to paste: both go
 * over channels of their own, which keep no order between them. Pure but for the sink.
 */
import type { KeyOp } from "../input/keyboard";
import type { KeySink } from "../input/sink";

/** Key events kept back at most; a person types a few in the time that a clipboard takes. */
const MAX_KEPT = 256;

export class KeyGate implements KeySink {
  readonly #kept: KeyOp[] = [];
  #closed = 0;

  constructor(private readonly sink: KeySink) {}

  /** Keep keys back until `ready` resolves. Several at once: until the last has. */
  hold(ready: Promise<unknown>): void {
    this.#closed += 1;
    void ready.finally(() => {
      this.#closed -= 1;
      if (this.#closed === 0) this.flush();
    });
  }

  keys(ops: readonly KeyOp[]): void {
    if (this.#closed === 0) {
      this.sink.keys(ops);
      return;
    }
    this.#kept.push(...ops);
    if (this.#kept.length > MAX_KEPT) this.flush();
  }

  held(keysyms: readonly number[], buttons: number): void {
    this.sink.held(keysyms, buttons);
  }

  /** Let go of what is kept back. */
  flush(): void {
    const ops = this.#kept.splice(0);
    if (ops.length > 0) this.sink.keys(ops);
  }
}

/** What `promise` resolves to; null where it takes longer than `ms`, or fails. Never rejects. */
export function atMost<T>(promise: Promise<T>, ms: number): Promise<T | null> {
  return new Promise((done) => {
    const timer = setTimeout(() => {
      done(null);
    }, ms);
    const finish = (value: T | null): void => {
      clearTimeout(timer);
      done(value);
    };
    promise.then(finish, () => {
      finish(null);
    });
  });
}
