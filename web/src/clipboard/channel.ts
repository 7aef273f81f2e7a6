/** The clipboard over its data channel (WebRTC). */
import { decode, encode, Malformed } from "../protocol/codec";
import { MAX_CHUNK_BYTES } from "../protocol/messages.gen";
import type { Message } from "../protocol/messages.gen";
import { bytesOf, KIND_CODES, NO_WAY, tooLarge } from "./content";
import type { Content, Ways } from "./content";
import type { ClipboardLine, LineEvents } from "./line";
import { Receiver } from "./receiver";

/** What may wait in the channel, in bytes: keys share the association, and go behind what is under way. */
const MAX_WAITING = 2 * MAX_CHUNK_BYTES;

interface Outgoing {
  readonly id: number;
  readonly data: Uint8Array<ArrayBuffer>;
  at: number;
  readonly done: (taken: boolean) => void;
}

export class ChannelLine implements ClipboardLine {
  readonly #receiver = new Receiver();
  #events: LineEvents | null = null;
  #ways: Ways = NO_WAY;
  #lastId = 0;
  /** Sent, or being sent, and not yet answered. A newer one replaces it. */
  #outgoing: Outgoing | null = null;

  constructor(private readonly channel: RTCDataChannel) {
    channel.bufferedAmountLowThreshold = MAX_CHUNK_BYTES;
    channel.addEventListener("message", this.#hear);
    channel.addEventListener("bufferedamountlow", this.#pump);
    channel.addEventListener("close", () => {
      this.close();
    });
  }

  send(content: Content): Promise<boolean> {
    if (this.channel.readyState !== "open" || !this.#ways.toGuest || tooLarge(content) !== null) return Promise.resolve(false);
    if (this.#outgoing !== null) this.#settle(this.#outgoing.id, false);
    this.#lastId = (this.#lastId + 1) >>> 0;
    const id = this.#lastId;
    const data = bytesOf(content);
    return new Promise((done) => {
      this.#outgoing = { id, data, at: 0, done };
      this.#say({ type: "ClipboardOffer", id, kind: KIND_CODES[content.kind], size: data.length });
      this.#pump();
    });
  }

  listen(events: LineEvents | null): void {
    this.#events = events;
    events?.ways(this.#ways);
  }

  close(): void {
    if (this.#outgoing !== null) this.#settle(this.#outgoing.id, false);
    this.channel.removeEventListener("message", this.#hear);
    this.channel.removeEventListener("bufferedamountlow", this.#pump);
  }

  readonly #pump = (): void => {
    const outgoing = this.#outgoing;
    while (outgoing !== null && outgoing.at < outgoing.data.length && this.channel.bufferedAmount < MAX_WAITING) {
      const data = outgoing.data.subarray(outgoing.at, outgoing.at + MAX_CHUNK_BYTES);
      outgoing.at += data.length;
      if (!this.#say({ type: "ClipboardChunk", id: outgoing.id, data })) return;
    }
  };

  readonly #hear = (event: MessageEvent<unknown>): void => {
    if (!(event.data instanceof ArrayBuffer)) return;
    let message: Message;
    try {
      message = decode(new Uint8Array(event.data), "clipboard", "to-viewer");
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      return;
    }
    switch (message.type) {
      case "ClipboardWays":
        this.#ways = { toGuest: message.to_guest, toViewer: message.to_viewer };
        this.#events?.ways(this.#ways);
        return;
      case "GuestClipboardAck":
        this.#settle(message.id, message.taken);
        return;
      case "GuestClipboardOffer":
      case "GuestClipboardChunk":
      case "GuestClipboardCancel": {
        const received = this.#receiver.receive(message);
        if (received === null) return;
        this.#say({ type: "ClipboardAck", id: received.id, taken: received.content !== null });
        if (received.content !== null) this.#events?.copied(received.content);
        return;
      }
      default:
        // The codec lets no other type through in this direction.
        return;
    }
  };

  #settle(id: number, taken: boolean): void {
    const outgoing = this.#outgoing;
    if (outgoing?.id !== id) return;
    this.#outgoing = null;
    outgoing.done(taken);
  }

  #say(message: Message): boolean {
    if (this.channel.readyState !== "open") return false;
    this.channel.send(encode(message));
    return true;
  }
}
