/**
 * Data-channel messages to bytes and back, driven by the generated table. Pure.
 *
 * One type byte, then the fields, big-endian (guest_agent/protocol/messages.py). Errors: {@link Malformed};
 * the caller counts and drops.
 */
import { MAX_BLOB_BYTES, MAX_CHUNK_BYTES, MAX_HELD, MAX_TEXT_BYTES, PLANS } from "./messages.gen";
import type { Channel, Direction, Kind, Message, Plan } from "./messages.gen";

/** The bytes are not a message, or a value does not fit its field. */
export class Malformed extends Error {
  override name = "Malformed";
}

type Value = number | boolean | string | readonly number[] | Uint8Array<ArrayBuffer>;

const BY_TYPE = new Map<string, Plan>(PLANS.map((plan) => [plan.type, plan]));
const BY_CODE = new Map<number, Plan>(PLANS.map((plan) => [plan.code, plan]));
const RANGES = {
  u8: [0, 0xff, 1],
  u16: [0, 0xffff, 2],
  u32: [0, 0xffff_ffff, 4],
  i16: [-0x8000, 0x7fff, 2],
} as const;
type Fixed = keyof typeof RANGES;

const UTF8_IN = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UTF8_OUT = new TextEncoder();
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** The channel that carries this type. */
export function channelOf(type: Message["type"]): Channel {
  return planOf(type).channel;
}

/** Serialise. Throws Malformed when a value does not fit its field. */
export function encode(message: Message): Uint8Array<ArrayBuffer> {
  const plan = planOf(message.type);
  const values = message as unknown as Readonly<Record<string, Value | undefined>>;
  const out = [plan.code];
  for (const [name, kind] of plan.fields) put(out, name, kind, values[name]);
  return Uint8Array.from(out);
}

/** Parse one message that arrived on `channel`. Throws Malformed. */
export function decode(data: Uint8Array, channel: Channel, direction: Direction): Message {
  if (data.length === 0) throw new Malformed("empty message");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const code = view.getUint8(0);
  const plan = BY_CODE.get(code);
  if (plan === undefined) throw new Malformed(`unknown type 0x${code.toString(16)}`);
  if (plan.channel !== channel || plan.direction !== direction) {
    throw new Malformed(`${plan.type} does not belong on ${channel} ${direction}`);
  }
  const values: Record<string, Value> = { type: plan.type };
  const reader = new Reader(view);
  for (const [name, kind] of plan.fields) values[name] = reader.take(kind);
  reader.end(plan.type);
  return values as unknown as Message;
}

function planOf(type: string): Plan {
  const plan = BY_TYPE.get(type);
  if (plan === undefined) throw new Malformed(`no message is called ${type}`);
  return plan;
}

function put(out: number[], name: string, kind: Kind, value: Value | undefined): void {
  switch (kind) {
    case "bool":
      if (typeof value !== "boolean") throw new Malformed(`${name} is not a boolean`);
      out.push(value ? 1 : 0);
      return;
    case "text": {
      if (typeof value !== "string" || LONE_SURROGATE.test(value)) throw new Malformed(`${name} is not text`);
      const raw = UTF8_OUT.encode(value);
      if (raw.length > MAX_TEXT_BYTES) throw new Malformed(`text of ${raw.length} bytes, at most ${MAX_TEXT_BYTES}`);
      putFixed(out, name, "u16", raw.length);
      for (const byte of raw) out.push(byte);
      return;
    }
    case "u32s":
      if (!isNumbers(value) || value.length > MAX_HELD) throw new Malformed(`${name} is not at most ${MAX_HELD} numbers`);
      out.push(value.length);
      for (const item of value) putFixed(out, name, "u32", item);
      return;
    case "bytes":
      if (!(value instanceof Uint8Array) || value.length > MAX_CHUNK_BYTES) {
        throw new Malformed(`${name} is not at most ${MAX_CHUNK_BYTES} bytes`);
      }
      for (const byte of value) out.push(byte);
      return;
    case "blob":
      if (!(value instanceof Uint8Array) || value.length > MAX_BLOB_BYTES) {
        throw new Malformed(`${name} is not at most ${MAX_BLOB_BYTES} bytes`);
      }
      putFixed(out, name, "u16", value.length);
      for (const byte of value) out.push(byte);
      return;
    case "u8":
    case "u16":
    case "u32":
    case "i16":
      putFixed(out, name, kind, value);
  }
}

function isNumbers(value: Value | undefined): value is readonly number[] {
  return Array.isArray(value);
}

function putFixed(out: number[], name: string, kind: Fixed, value: Value | undefined): void {
  const [low, high, size] = RANGES[kind];
  if (typeof value !== "number" || !Number.isInteger(value) || value < low || value > high) {
    throw new Malformed(`${name} does not fit ${kind}`);
  }
  for (let shift = (size - 1) * 8; shift >= 0; shift -= 8) out.push((value >> shift) & 0xff);
}

class Reader {
  #at = 1;

  constructor(private readonly view: DataView) {}

  take(kind: Kind): Value {
    switch (kind) {
      case "u8":
        return this.view.getUint8(this.#skip(1));
      case "u16":
        return this.view.getUint16(this.#skip(2));
      case "u32":
        return this.view.getUint32(this.#skip(4));
      case "i16":
        return this.view.getInt16(this.#skip(2));
      case "bool": {
        const value = this.view.getUint8(this.#skip(1));
        if (value > 1) throw new Malformed(`bool is ${value}`);
        return value === 1;
      }
      case "text":
        return this.#text();
      case "bytes": {
        const rest = this.view.byteLength - this.#at;
        if (rest > MAX_CHUNK_BYTES) throw new Malformed(`${rest} bytes, at most ${MAX_CHUNK_BYTES}`);
        const at = this.#skip(rest);
        return new Uint8Array(this.view.buffer.slice(this.view.byteOffset + at, this.view.byteOffset + at + rest) as ArrayBuffer);
      }
      case "blob":
        return this.#bytes(MAX_BLOB_BYTES).slice();
      case "u32s": {
        const count = this.view.getUint8(this.#skip(1));
        if (count > MAX_HELD) throw new Malformed(`${count} keysyms, at most ${MAX_HELD}`);
        return Array.from({ length: count }, () => this.view.getUint32(this.#skip(4)));
      }
    }
  }

  end(type: string): void {
    const rest = this.view.byteLength - this.#at;
    if (rest > 0) throw new Malformed(`${type} has ${rest} bytes too many`);
  }

  #text(): string {
    const raw = this.#bytes(MAX_TEXT_BYTES);
    try {
      return UTF8_IN.decode(raw);
    } catch {
      throw new Malformed("text is not UTF-8");
    }
  }

  /** A length as u16 and as many bytes, not copied. */
  #bytes(most: number): Uint8Array {
    const size = this.view.getUint16(this.#skip(2));
    if (size > most) throw new Malformed(`${size} bytes, at most ${most}`);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + this.#skip(size), size);
  }

  #skip(size: number): number {
    const at = this.#at;
    if (at + size > this.view.byteLength) throw new Malformed(`cut short at ${this.view.byteLength} bytes`);
    this.#at = at + size;
    return at;
  }
}
