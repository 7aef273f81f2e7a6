/** Server-sent events out of text (HTML Standard 9.2.6). Pure. EventSource cannot carry an Authorization header. */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

/** An event that is longer than this is thrown away: the gateway's are about 1 KiB. */
const MAX_CHARS = 256 * 1024;

export class EventParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #size = 0;

  /** Events completed by `text`, in order. */
  feed(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    this.#rest += text;
    // A CR at the very end may be the first half of CRLF: it waits.
    const ready = this.#rest.endsWith("\r") ? this.#rest.slice(0, -1) : this.#rest;
    const lines = ready.split(/\r\n|\n|\r/);
    const tail = lines.pop() ?? "";
    this.#rest = tail.slice(0, MAX_CHARS) + this.#rest.slice(ready.length);
    for (const line of lines) {
      const event = this.#line(line);
      if (event !== null) events.push(event);
    }
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    if (field === "data") {
      this.#size += value.length;
      if (this.#size <= MAX_CHARS) this.#data.push(value);
    }
    return null;
  }

  #dispatch(): ServerEvent | null {
    const whole = this.#data.length > 0 && this.#size <= MAX_CHARS;
    const event = { event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n") };
    this.#event = "";
    this.#data = [];
    this.#size = 0;
    return whole ? event : null;
  }
}
