/** A page whose connections take over from each other: its own machine, routing, keyboard and sinks on a modelled network. */
import type { KeyOp } from "../src/input/keyboard";
import { Keyboard } from "../src/input/keyboard";
import type { Sinks } from "../src/input/hub";
import { MessageSink } from "../src/input/sink";
import { decode } from "../src/protocol/codec";
import { deadline, INITIAL, step } from "../src/session/machine";
import type { Effect, Event, State } from "../src/session/machine";
import { standingOf } from "../src/session/standing";
import { Routing } from "../src/view/routing";
import type { Route } from "../src/view/routing";
import { info } from "./bench";
import { Agent, Gateway, Wire } from "./takeover_agent";
import type { World } from "./takeover_agent";

const ME = "aaaaaaaa";
/** As in transport/rtc.ts. */
const SILENT_MS = 1_200;
const SESSION = { ...info("ready"), control: { controller: ME, requests: [], viewers: [{ name: ME, number: 1, role: "control" as const }] } };

/** input/hub.ts and keys_dom.ts without a document. */
class Hub {
  #sinks: Sinks | null = null;
  #allowed = false;
  #enabled = false;
  readonly #keyboard = new Keyboard("other");
  /** Letters whose press nobody heard. */
  ignored = "";

  connect(sinks: Sinks | null): void {
    this.#emit(this.#keyboard.releaseAll());
    this.#sinks = sinks;
    this.#apply();
  }

  set allowed(allowed: boolean) {
    if (allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.#apply();
  }

  get allowed(): boolean {
    return this.#allowed;
  }

  key(letter: string, down: boolean): void {
    if (!this.#enabled) {
      if (down) this.ignored += letter;
      return;
    }
    const event = { key: letter, code: "KeyQ", location: 0, keyCode: 0, isComposing: false, repeat: false, metaKey: false };
    this.#emit(down ? this.#keyboard.down(event, 0).ops : this.#keyboard.up(event).ops);
  }

  #apply(): void {
    const enabled = this.#allowed && this.#sinks !== null;
    if (this.#enabled && !enabled) this.#emit(this.#keyboard.releaseAll());
    this.#enabled = enabled;
  }

  #emit(ops: readonly KeyOp[]): void {
    this.#sinks?.keys.keys(ops);
  }
}

interface Link {
  readonly sink: MessageSink;
  readonly up: Wire;
  readonly down: Wire;
  udp: boolean | null;
  silent: boolean;
}

/** How long each step may take at most, in ms. */
export interface Pace {
  readonly message: number;
  readonly call: number;
  readonly stage: number;
}

export class Page {
  readonly hub = new Hub();
  readonly agent: Agent;
  readonly routing: Routing;
  state: State = INITIAL;
  readonly #gateway: Gateway;
  readonly #links = new Map<number, Link>();
  #udp = true;
  #armed = 0;

  constructor(
    private readonly world: World,
    private readonly pace: Pace,
  ) {
    this.agent = new Agent(world);
    this.#gateway = new Gateway(world, this.agent, pace.call);
    this.routing = new Routing(this.hub, { connect: () => undefined });
    this.dispatch({ type: "start", openedAt: 0 });
    this.dispatch({ type: "session", info: SESSION });
  }

  /** Whether UDP passes. */
  set udp(passes: boolean) {
    this.#udp = passes;
    for (const [attempt, link] of this.#links) if (link.udp === true) this.#pass(attempt, link, passes);
  }

  /** As session/runner.ts. */
  dispatch(event: Event): void {
    const { state, effects } = step(this.state, event, { now: this.world.now, random: this.world.random() });
    this.state = state;
    for (const effect of effects) this.#run(effect);
    this.#arm();
    this.#show();
  }

  /** As view/viewer.ts. */
  #show(): void {
    this.routing.follow(this.state);
    const { who } = standingOf("control", ME, this.state.session?.control ?? null, this.routing.live(this.state, this.world.now));
    this.hub.allowed = who === "me";
    if (who === "me") this.routing.sayAgain();
  }

  #arm(): void {
    const at = deadline(this.state);
    const armed = (this.#armed += 1);
    if (at === null) return;
    this.world.after(Math.max(0, Math.ceil(at - this.world.now)), () => {
      if (armed === this.#armed) this.dispatch({ type: "timer" });
    });
  }

  #run(effect: Effect): void {
    if (effect.do === "open") this.#open(effect.attempt, effect.way === "novnc", effect.way === "webrtc-udp");
    else if (effect.do === "close") this.#close(effect.attempt);
    else if (effect.do === "watch" && !effect.stream) {
      this.world.after(this.world.between(1, this.pace.call), () => {
        this.dispatch({ type: "session", info: SESSION });
      });
    }
  }

  #open(attempt: number, novnc: boolean, udpOnly: boolean): void {
    const { world, pace } = this;
    const soon = (then: () => void, most = pace.stage): void => {
      world.after(world.between(1, most), then);
    };
    if (novnc) {
      soon(() => {
        this.dispatch({ type: "closed", attempt, why: { kind: "unsupported" } });
      });
      return;
    }
    const [up, down] = [new Wire(world, pace.message), new Wire(world, pace.message)];
    const sink = new MessageSink((channel, data) => {
      const message = decode(data, channel, "to-agent");
      up.send(() => {
        this.agent.receive(attempt, message);
      });
    }, this.routing.unheard);
    const link: Link = { sink, up, down, udp: null, silent: false };
    this.#links.set(attempt, link);
    const whileOpen = (then: () => void) => () => {
      if (this.#links.get(attempt) === link) then();
    };
    soon(() => {
      this.#gateway.joined(attempt);
      whileOpen(() => {
        this.dispatch({ type: "progress", attempt, sign: "answered" });
        soon(whileOpen(() => {
          if (!this.#udp && udpOnly) return;
          link.udp = this.#udp;
          this.dispatch({ type: "progress", attempt, sign: "reached" });
          soon(whileOpen(() => {
            this.dispatch({ type: "path", attempt, path: link.udp === true ? "udp" : "tcp" });
          }));
          soon(() => {
            this.#gateway.connected(attempt);
          });
          // The picture and the channels are ready each in its own time.
          soon(whileOpen(() => {
            if (!link.silent) this.dispatch({ type: "painted", attempt });
          }));
          soon(whileOpen(() => {
            up.send(() => {
              this.agent.hello(attempt, (data) => {
                down.send(whileOpen(() => {
                  this.#hear(attempt, link, data);
                }));
              });
            });
          }));
        }));
      })();
    });
  }

  /** As transport/rtc.ts, and viewer.ts of what it tells. */
  #hear(attempt: number, { sink }: Link, data: Uint8Array<ArrayBuffer>): void {
    const message = decode(data, "control", "to-viewer");
    if (message.type === "Welcome") {
      const route: Pick<Route, "keys" | "pointer" | "speaker" | "rtc"> = { keys: sink, pointer: null, speaker: sink, rtc: null };
      this.routing.open(attempt, { ...route, clipboard: null as never });
      this.#show();
    } else if (message.type === "Taken") this.routing.unheard.taken(message.seq);
    else if (message.type === "Control") {
      sink.counts = message.controls;
      this.routing.hear(attempt, message.controls, this.world.now);
      this.dispatch({ type: "news" });
    }
  }

  #pass(attempt: number, link: Link, passes: boolean): void {
    link.up.passes = link.down.passes = passes;
    link.silent = !passes;
    this.world.after(passes ? this.world.between(1, 600) : SILENT_MS + this.world.between(0, 200), () => {
      if (this.#links.get(attempt) === link && link.silent === !passes) this.dispatch({ type: passes ? "heard" : "silent", attempt });
    });
  }

  #close(attempt: number): void {
    const link = this.#links.get(attempt);
    this.routing.close(attempt, this.world.now);
    this.#links.delete(attempt);
    if (link === undefined) return;
    link.down.cut();
    // What was sent last may still arrive, or not.
    if (this.world.random() < 0.5) link.up.cut();
    this.world.after(this.world.between(1, this.pace.call), () => {
      link.up.cut();
      this.agent.gone(attempt);
      this.#gateway.left(attempt);
    });
  }
}
