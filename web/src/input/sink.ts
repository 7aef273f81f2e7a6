/** Where input goes: the one interface of both transports, and the WebRTC side of it. Pure but for `send`. */
import type { Channel, Message } from "../protocol/messages.gen";
import { MAX_HELD, MAX_TEXT_BYTES } from "../protocol/messages.gen";
import { channelOf, encode } from "../protocol/codec";
import { chunks } from "./chunks";
import type { Place } from "./geometry";
import type { KeyOp } from "./keyboard";
import { keysymOfCodePoint } from "./keysym";
import type { Unheard } from "./unheard";
import type { Notches } from "./wheel";

export interface KeySink {
  keys(ops: readonly KeyOp[]): void;
  /** Heartbeat: what is still down. `buttons` has bit n set for X button n. */
  held(keysyms: readonly number[], buttons: number): void;
}

/** The way that input takes now. */
export interface Speaker {
  /** Says what other ways have lost. */
  sayAgain(): void;
}

export interface PointerSink {
  move(place: Place): void;
  button(button: number, down: boolean, place: Place): void;
  wheel(notches: Notches, place: Place): void;
}

type Unnumbered<M> = M extends { readonly seq: number } ? Omit<M, "seq"> : never;

/**
 * Input as data-channel messages.
 *
 * `send` gives the bytes to the channel; it may drop them (transport/rtc.ts names the policy). All input
 * shares one count, so the agent can tell a move from before a click. Keys wait in `unheard` until the agent has said
 * that what comes by this connection counts.
 */
export class MessageSink implements KeySink, PointerSink, Speaker {
  #counts = false;
  #counted = false;

  constructor(
    private readonly send: (channel: Channel, data: Uint8Array<ArrayBuffer>) => void,
    private readonly unheard: Unheard,
  ) {}

  /** Does what comes by this connection count? The agent says so. */
  set counts(counts: boolean) {
    // To the agent all before this was sent unknowing (messages.py: Control).
    if (counts && !this.#counts && this.#counted) this.#put({ type: "ReleaseAll" });
    this.#counts = counts;
    this.#counted ||= counts;
    if (!counts) this.unheard.lost(this);
  }

  sayAgain(): void {
    if (this.#counts) this.keys(this.unheard.due(this, performance.now()));
  }

  keys(ops: readonly KeyOp[]): void {
    for (const op of ops) {
      if (op.op === "text") for (const text of chunks(op.text, MAX_TEXT_BYTES)) this.#key({ op: "text", text });
      else this.#key(op);
    }
  }

  held(keysyms: readonly number[], buttons: number): void {
    this.#put({ type: "Held", buttons, keysyms: keysyms.slice(0, MAX_HELD) });
  }

  move(place: Place): void {
    this.#put({ type: "Move", x: place.x, y: place.y });
  }

  button(button: number, down: boolean, place: Place): void {
    this.#put({ type: "Button", button, down, x: place.x, y: place.y });
  }

  wheel(notches: Notches, place: Place): void {
    this.#put({ type: "Wheel", dx: notches.dx, dy: notches.dy, x: place.x, y: place.y });
  }

  #key(op: KeyOp): void {
    const seq = this.unheard.count();
    this.unheard.keep(seq, op, this.#counts ? this : null, performance.now());
    if (this.#counts) this.#send(messageOf(op), seq);
  }

  #put(body: Unnumbered<Message>): void {
    this.#send(body, this.unheard.count());
  }

  #send(body: Unnumbered<Message>, seq: number): void {
    const message = { ...body, seq } as Message;
    this.send(channelOf(message.type), encode(message));
  }
}

function messageOf(op: KeyOp): Unnumbered<Message> {
  switch (op.op) {
    case "key":
      return { type: "Key", keysym: op.keysym, down: op.down };
    case "text":
      return { type: "Text", text: op.text };
    case "release-all":
      return { type: "ReleaseAll" };
  }
}

/** Keys that the next connection is to say; nothing else is worth keeping. */
export class KeptKeys implements KeySink {
  constructor(private readonly unheard: Unheard) {}

  keys(ops: readonly KeyOp[]): void {
    for (const op of ops) this.unheard.keep(this.unheard.count(), op, null, performance.now());
  }

  held(): void {
    return;
  }
}

/** Keys as RFB key events (RFC 6143 7.5.4), which name keysyms only; noVNC sends the pointer itself. */
export class RfbKeySink implements KeySink, Speaker {
  constructor(
    private readonly sendKey: (keysym: number, down: boolean) => void,
    private readonly unheard: Unheard,
  ) {}

  sayAgain(): void {
    this.keys(this.unheard.due(this, performance.now()));
  }

  keys(ops: readonly KeyOp[]): void {
    for (const op of ops) {
      switch (op.op) {
        case "key":
          this.sendKey(op.keysym, op.down);
          break;
        case "text":
          for (const char of op.text) {
            const keysym = keysymOfCodePoint(char.codePointAt(0) ?? 0);
            this.sendKey(keysym, true);
            this.sendKey(keysym, false);
          }
          break;
        case "release-all":
          for (const keysym of op.keysyms) this.sendKey(keysym, false);
      }
    }
  }

  /** RFB has no heartbeat; transport/vnc.ts has one, of which the gateway's lease knows. */
  held(): void {
    return;
  }
}
