/** Models of what is at the other end while connections take over from each other: wires, the agent, the gateway. */
import { encode } from "../src/protocol/codec";
import type { Message } from "../src/protocol/messages.gen";

/** Numbers from 0 to 1 by a seed (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What happens when, in ms. */
export class World {
  now = 0;
  readonly #due: { readonly at: number; readonly run: () => void }[] = [];

  constructor(readonly random: () => number) {}

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.random() * (most - least + 1));
  }

  after(delay: number, run: () => void): void {
    const at = this.now + delay;
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1]?.at ?? 0) > at) index -= 1;
    this.#due.splice(index, 0, { at, run });
  }

  runUntil(end: number): void {
    for (let next = this.#due[0]; next !== undefined && next.at <= end; next = this.#due[0]) {
      this.#due.shift();
      this.now = next.at;
      next.run();
    }
    this.now = end;
  }
}

/** One direction of a reliable, ordered channel: what is sent while nothing passes arrives when something does again. */
export class Wire {
  readonly #sent: { arrived: boolean; readonly deliver: () => void }[] = [];
  #passes = true;
  #open = true;

  constructor(
    private readonly world: World,
    private readonly slowest: number,
  ) {}

  send(deliver: () => void): void {
    const sent = { arrived: false, deliver };
    this.#sent.push(sent);
    this.world.after(this.world.between(1, this.slowest), () => {
      sent.arrived = true;
      this.#flush();
    });
  }

  set passes(passes: boolean) {
    this.#passes = passes;
    this.world.after(this.world.between(1, this.slowest), () => {
      this.#flush();
    });
  }

  /** Nothing more arrives, what is under way included. */
  cut(): void {
    this.#open = false;
  }

  #flush(): void {
    while (this.#open && this.#passes && this.#sent[0]?.arrived === true) this.#sent.shift()?.deliver();
  }
}

/** As guest_agent/channels.py, taken.py and media.py: whose input counts, and how far its keys have come. */
export class Agent {
  /** What was typed. */
  text = "";
  readonly held = new Set<string>();
  #controller: number | null = null;
  #taken = 0;
  #telling = false;
  readonly #told = new Set<number>();
  readonly #unknowing = new Set<number>();
  /** What a peer that has said Hello is told by. */
  readonly #peers = new Map<number, (data: Uint8Array<ArrayBuffer>) => void>();

  constructor(private readonly world: World) {}

  hello(peer: number, tell: (data: Uint8Array<ArrayBuffer>) => void): void {
    this.#peers.set(peer, tell);
    this.#tell(peer, { type: "Welcome", version: 1, controls: true, width: 1280, height: 720 });
    this.#tellControl(peer);
  }

  control(peer: number | null): void {
    if (this.#controller !== peer) this.held.clear();
    this.#controller = peer;
    for (const each of this.#peers.keys()) this.#tellControl(each);
  }

  gone(peer: number): void {
    if (this.#controller === peer) this.held.clear();
    this.#peers.delete(peer);
  }

  receive(peer: number, message: Message): void {
    if (this.#controller !== peer) return;
    if (message.type === "ReleaseAll") this.#unknowing.delete(peer);
    if (this.#unknowing.has(peer)) return;
    if (message.type === "Key") {
      const letter = String.fromCodePoint(message.keysym);
      if (message.down) {
        this.text += letter;
        this.held.add(letter);
      } else this.held.delete(letter);
    } else if (message.type === "ReleaseAll") this.held.clear();
    else return;
    this.#taken = message.seq;
    if (this.#telling) return;
    this.#telling = true;
    this.world.after(10, () => {
      this.#telling = false;
      if (this.#controller !== null) this.#tell(this.#controller, { type: "Taken", seq: this.#taken });
    });
  }

  #tellControl(peer: number): void {
    const controls = this.#controller === peer;
    if (controls) this.#tell(peer, { type: "Taken", seq: this.#taken });
    this.#tell(peer, { type: "Control", controls });
    if (controls) this.#told.add(peer);
    else if (this.#told.delete(peer)) this.#unknowing.add(peer);
  }

  #tell(peer: number, message: Message): void {
    this.#peers.get(peer)?.(encode(message));
  }
}

/** As gateway/sessions/control.py: the newest peer by which media flows counts, else the newest. */
export class Gateway {
  readonly #peers: number[] = [];
  readonly #connected = new Set<number>();
  readonly #line: Wire;

  constructor(
    world: World,
    private readonly agent: Agent,
    slowest: number,
  ) {
    this.#line = new Wire(world, slowest);
  }

  joined(peer: number): void {
    this.#peers.push(peer);
    this.#tell();
  }

  connected(peer: number): void {
    if (!this.#peers.includes(peer)) return;
    this.#connected.add(peer);
    this.#tell();
  }

  left(peer: number): void {
    this.#connected.delete(peer);
    const at = this.#peers.indexOf(peer);
    if (at < 0) return;
    this.#peers.splice(at, 1);
    this.#tell();
  }

  #tell(): void {
    const newest = [...this.#peers].reverse();
    const peer = newest.find((one) => this.#connected.has(one)) ?? newest[0] ?? null;
    this.#line.send(() => {
      this.agent.control(peer);
    });
  }
}
