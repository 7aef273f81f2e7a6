/** The guest's clipboard out of chunks. One at a time: a newer offer replaces the older. Pure. */
import type { GuestClipboardCancel, GuestClipboardChunk, GuestClipboardOffer } from "../protocol/messages.gen";
import { contentOf, limitOf } from "./content";
import type { Content } from "./content";

export type Received = { readonly id: number; readonly content: Content | null };

export class Receiver {
  #id: number | null = null;
  #code = 0;
  #data = new Uint8Array(0);
  #filled = 0;

  /** What this message completes; content null for what is refused. */
  receive(message: GuestClipboardOffer | GuestClipboardChunk | GuestClipboardCancel): Received | null {
    switch (message.type) {
      case "GuestClipboardOffer":
        this.#forget();
        if (message.size > limitOf(message.kind)) return { id: message.id, content: null };
        this.#id = message.id;
        this.#code = message.kind;
        this.#data = new Uint8Array(message.size);
        return message.size === 0 ? this.#finish(message.id) : null;
      case "GuestClipboardChunk": {
        if (message.id !== this.#id) return null;
        if (this.#filled + message.data.length > this.#data.length) {
          this.#forget();
          return { id: message.id, content: null };
        }
        this.#data.set(message.data, this.#filled);
        this.#filled += message.data.length;
        return this.#filled === this.#data.length ? this.#finish(message.id) : null;
      }
      case "GuestClipboardCancel":
        if (message.id === this.#id) this.#forget();
        return null;
    }
  }

  #finish(id: number): Received {
    const content = contentOf(this.#code, this.#data);
    this.#forget();
    return { id, content };
  }

  #forget(): void {
    this.#id = null;
    this.#data = new Uint8Array(0);
    this.#filled = 0;
  }
}
