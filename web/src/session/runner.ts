/** Runs the machine: keeps its state, its timer and the things its effects open. The only impure part of session/. */
import { problemOf, request, unreachable } from "../api/http";
import { sessionUrl, watchSession } from "../api/watch";
import { deadline, INITIAL, step } from "./machine";
import type { Effect, Event, State, Transport, Way } from "./machine";
import { RUNGS } from "./rungs";
import type { Path } from "./rungs";
import type { AttemptEvent } from "./state";
import type { Why } from "./why";

/** An answer that takes longer is none, in ms: while a picture is sought, and else. */
const URGENT_MS = 2_000;
const PATIENT_MS = 15_000;

/** An open transport. */
export interface Link {
  /** It has painted, and its picture is the one to see from now on. */
  show(): void;
  /** Ends it; nothing is heard of it afterwards. Idempotent. */
  close(): void;
}

export interface Access {
  readonly id: string;
  readonly token: string;
  /** This page's id among the viewers (api/viewer_id.ts). */
  readonly viewer: string;
}

/** Of each of the attempt's events, all but its number. */
type AttemptNews = AttemptEvent extends infer E ? (E extends AttemptEvent ? Omit<E, "attempt"> : never) : never;

/** Opens a transport at once; what becomes of it is told by events with this attempt's number. */
export type Opener = (attempt: number, dispatch: (event: Event) => void, way: Way) => Link;

/** What any transport says of itself, as this attempt's events. */
export interface Reports {
  painted(): void;
  /** The offer was answered (noVNC: the socket is open); ICE has a pair that works. */
  progress(sign: "answered" | "reached"): void;
  /** How ICE has got through; said again when that changes. */
  path(path: Path): void;
  /** Nothing has come for longer than it should; something comes again. */
  silent(): void;
  heard(): void;
  connection(state: RTCPeerConnectionState): void;
  closed(why: Why): void;
}

export function reports(attempt: number, dispatch: (event: Event) => void): Reports {
  const tell = (event: AttemptNews): void => {
    dispatch({ ...event, attempt });
  };
  return {
    painted: () => {
      tell({ type: "painted" });
    },
    progress: (sign) => {
      tell({ type: "progress", sign });
    },
    path: (path) => {
      tell({ type: "path", path });
    },
    silent: () => {
      tell({ type: "silent" });
    },
    heard: () => {
      tell({ type: "heard" });
    },
    connection: (state) => {
      tell({ type: "connection", state });
    },
    closed: (why) => {
      tell({ type: "closed", why });
    },
  };
}

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
        this.#watch(effect.stream, effect.urgent === true);
        break;
      case "unwatch":
        this.#watching?.abort();
        this.#watching = null;
        break;
      case "resume":
        this.#resume();
        break;
      case "open":
        this.#links.set(effect.attempt, this.openers[RUNGS[effect.way].transport](effect.attempt, this.#later, effect.way));
        break;
      case "show":
        this.#links.get(effect.attempt)?.show();
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

  #watch(stream: boolean, urgent: boolean): void {
    this.#watching?.abort();
    const watching = new AbortController();
    this.#watching = watching;
    // On a network that swallows packets a call hangs for minutes.
    const limit = stream ? null : AbortSignal.timeout(urgent ? URGENT_MS : PATIENT_MS);
    const signal = limit === null ? watching.signal : AbortSignal.any([watching.signal, limit]);
    const tell = (event: Event): void => {
      if (this.#watching === watching) this.dispatch(event);
    };
    watchSession(this.access.id, this.access.token, stream, signal, (info) => {
      tell({ type: "session", info });
    }).then(
      () => {
        tell({ type: "watch-ended", problem: null });
      },
      (error: unknown) => {
        tell({ type: "watch-ended", problem: limit?.aborted === true ? unreachable() : problemOf(error) });
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
