/** Where input goes: the one interface of both transports, and the WebRTC side of it. Pure but for `send`. */
import type { Channel, Message } from "../protocol/messages.gen";
import { MAX_HELD, MAX_TEXT_BYTES } from "../protocol/messages.gen";
import { channelOf, encode } from "../protocol/codec";
import { chunks } from "./chunks";
import type { Place } from "./geometry";
import type { KeyOp } from "./keyboard";
import { keysymOfCodePoint } from "./keysym";
import type { Notches } from "./wheel";

export interface KeySink {
  keys(ops: readonly KeyOp[]): void;
  /** Heartbeat: what is still down. `buttons` has bit n set for X button n. */
  held(keysyms: readonly number[], buttons: number): void;
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
 * shares one count, so the agent can tell a move from before a click.
 */
export class MessageSink implements KeySink, PointerSink {
  #seq = 0;

  constructor(private readonly send: (channel: Channel, data: Uint8Array<ArrayBuffer>) => void) {}

  keys(ops: readonly KeyOp[]): void {
    for (const op of ops) {
      switch (op.op) {
        case "key":
          this.#put({ type: "Key", keysym: op.keysym, down: op.down });
          break;
        case "text":
          for (const text of chunks(op.text, MAX_TEXT_BYTES)) this.#put({ type: "Text", text });
          break;
        case "release-all":
          this.#put({ type: "ReleaseAll" });
      }
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

  #put(body: Unnumbered<Message>): void {
    const message = { ...body, seq: this.#seq } as Message;
    this.#seq = (this.#seq + 1) >>> 0;
    this.send(channelOf(message.type), encode(message));
  }
}

/** Keys as RFB key events (RFC 6143 7.5.4), which name keysyms only; noVNC sends the pointer itself. */
export class RfbKeySink implements KeySink {
  constructor(private readonly sendKey: (keysym: number, down: boolean) => void) {}

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
