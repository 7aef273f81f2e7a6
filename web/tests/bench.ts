/** The viewer's machine on a bench: events in, effects out, its clock and dice in the test's hand. */
import type { Problem, SessionInfo, SessionState } from "../src/api/types";
import { deadline, INITIAL, step } from "../src/session/machine";
import type { Effect, Event, Path, State, Transport } from "../src/session/machine";
import { STEADY_MS } from "../src/session/ladder";
import type { Why } from "../src/session/why";

export function info(state: SessionState): SessionInfo {
  return {
    id: "s1", state, createdAt: 0, timings: [], error: null, viewers: 0, control: null,
    display: { width: 1280, height: 720 }, template: "", accelerator: null,
    endsAt: null, idleAt: null, idleAction: "stop", warning: null, notice: "", egress: null, clipboard: "both", files: "both",
  };
}

export function problem(status: number): Problem {
  return { status, kind: "k", detail: "d", hint: "" };
}

/** A machine, its clock, and the effects of the last event. */
export class Bench {
  state: State = INITIAL;
  effects: readonly Effect[] = [];
  now = 1000;
  random = 0;

  send(...events: Event[]): this {
    for (const event of events) {
      const next = step(this.state, event, { now: this.now, random: this.random });
      this.state = next.state;
      this.effects = next.effects;
    }
    return this;
  }

  /** Let the time come that the machine asked for. */
  expire(): this {
    const at = deadline(this.state);
    if (at === null) throw new Error("the machine waits for no time");
    this.now = at;
    return this.send({ type: "timer" });
  }

  session(state: SessionState): this {
    return this.send({ type: "session", info: info(state) });
  }

  get attempt(): number {
    return "attempt" in this.state.phase ? this.state.phase.attempt : -1;
  }

  painted(): this {
    return this.send({ type: "painted", attempt: this.attempt });
  }

  progress(sign: "answered" | "reached", attempt = this.attempt): this {
    return this.send({ type: "progress", attempt, sign });
  }

  path(path: Path, attempt = this.attempt): this {
    return this.send({ type: "path", attempt, path });
  }

  /** The attempts open behind the one in front. */
  get trials(): readonly string[] {
    return this.state.trials.map(({ way }) => way);
  }

  /** The number of the trial of this kind. */
  trial(name: Transport): number {
    const found = this.state.trials.find((trial) => trial.name === name);
    if (found === undefined) throw new Error(`no trial of ${name}`);
    return found.attempt;
  }

  /** Lets `ms` go by, with each timer that the machine asks for. */
  pass(ms: number): this {
    const end = this.now + ms;
    for (;;) {
      const at = deadline(this.state);
      if (at === null || at > end) break;
      this.now = Math.max(this.now, at);
      this.send({ type: "timer" });
      if (deadline(this.state) === at) throw new Error("the machine asks for a time that has come");
    }
    this.now = end;
    return this;
  }

  connection(state: RTCPeerConnectionState): this {
    return this.send({ type: "connection", attempt: this.attempt, state });
  }

  closed(why: Why = { kind: "closed", detail: "" }): this {
    return this.send({ type: "closed", attempt: this.attempt, why });
  }
}

export function started(): Bench {
  return new Bench().send({ type: "start", openedAt: 900 });
}

export function onWebrtc(): Bench {
  return started().session("ready");
}

/** With a picture that has stood long enough to be one. */
export function onUdp(): Bench {
  const bench = onWebrtc().path("udp").painted();
  bench.now += STEADY_MS;
  return bench;
}

export function onNovnc(): Bench {
  return onWebrtc().closed({ kind: "unsupported" });
}
