/** Runs the machine: keeps its state, its timer and the things its effects open. The only impure part of session/. */
import { request, problemOf } from "../api/http";
import { sessionUrl, watchSession } from "../api/watch";
import { deadline, INITIAL, step } from "./machine";
import type { Effect, Event, State, Transport } from "./machine";

/** An open transport. */
export interface Link {
  /** Ends it; nothing is heard of it afterwards. Idempotent. */
  close(): void;
}

export interface Access {
  readonly id: string;
  readonly token: string;
  /** This page's id among the viewers (api/viewer_id.ts). */
  readonly viewer: string;
}

/** Opens a transport at once; what becomes of it is told by events with this attempt's number. */
export type Opener = (attempt: number, dispatch: (event: Event) => void) => Link;

export class Runner {
  #state: State = INITIAL;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watching: AbortController | null = null;
  readonly #links = new Map<number, Link>();

  constructor(
    private readonly access: Access,
    private readonly openers: Readonly<Record<Transport, Opener>>,
    private readonly changed: (state: State) => void,
  ) {}

  get state(): State {
    return this.#state;
  }

  readonly dispatch = (event: Event): void => {
    const { state, effects } = step(this.#state, event, { now: performance.now(), random: Math.random() });
    this.#state = state;
    for (const effect of effects) this.#run(effect);
    this.#arm();
    this.changed(this.#state);
  };

  #arm(): void {
    clearTimeout(this.#timer);
    const at = deadline(this.#state);
    if (at === null) return;
    this.#timer = setTimeout(() => {
      this.dispatch({ type: "timer" });
    }, Math.max(0, Math.ceil(at - performance.now())));
  }

  #run(effect: Effect): void {
    switch (effect.do) {
      case "watch":
        this.#watch(effect.stream);
        break;
      case "unwatch":
        this.#watching?.abort();
        this.#watching = null;
        break;
      case "resume":
        this.#resume();
        break;
      case "open":
        this.#links.set(effect.attempt, this.openers[effect.transport](effect.attempt, this.#later));
        break;
      case "close":
        this.#links.get(effect.attempt)?.close();
        this.#links.delete(effect.attempt);
        break;
      case "mark-painted":
        this.#mark(effect.transport, effect.elapsedMs);
    }
  }

  /** An opener may report at once; the step that opened it must be over first. */
  readonly #later = (event: Event): void => {
    queueMicrotask(() => {
      this.dispatch(event);
    });
  };

  #watch(stream: boolean): void {
    this.#watching?.abort();
    const watching = new AbortController();
    this.#watching = watching;
    const tell = (event: Event): void => {
      if (this.#watching === watching) this.dispatch(event);
    };
    watchSession(this.access.id, this.access.token, stream, watching.signal, (info) => {
      tell({ type: "session", info });
    }).then(
      () => {
        tell({ type: "watch-ended", problem: null });
      },
      (error: unknown) => {
        tell({ type: "watch-ended", problem: problemOf(error) });
      },
    );
  }

  /** The answer's session is left aside: what the stream has said meanwhile may be newer. */
  #resume(): void {
    request(`${sessionUrl(this.access.id)}/resume`, this.access.token, { method: "POST" }).then(
      () => {
        this.dispatch({ type: "resume-answered", problem: null });
      },
      (error: unknown) => {
        this.dispatch({ type: "resume-answered", problem: problemOf(error) });
      },
    );
  }

  #mark(transport: Transport, elapsedMs: number): void {
    const json = { mark: "painted", transport, elapsed_ms: elapsedMs };
    request(`${sessionUrl(this.access.id)}/marks`, this.access.token, { method: "POST", json }).catch((error: unknown) => {
      // A measurement that is lost changes nothing for the person.
      console.warn("the gateway did not take the painted mark", error);
    });
  }
}
