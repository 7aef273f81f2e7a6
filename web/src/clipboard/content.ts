/** What is copied: text or a PNG, bounded as in the guest (guest_agent/clipboard/content.py). Pure. */

export type Content =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "png"; readonly data: Uint8Array<ArrayBuffer> };

export interface Ways {
  readonly toGuest: boolean;
  readonly toViewer: boolean;
}

export const NO_WAY: Ways = { toGuest: false, toViewer: false };
export const MAX_BYTES = { text: 1 << 20, png: 8 << 20 } as const;
/** On the wire (messages.py: ClipboardOffer). */
export const KIND_CODES = { text: 1, png: 2 } as const;

const UTF8_OUT = new TextEncoder();
const UTF8_IN = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text as the guest keeps it: lines end in LF, and half a surrogate pair has no UTF-8. */
export function textContent(text: string): Content {
  return { kind: "text", text: UTF8_IN.decode(UTF8_OUT.encode(text.replaceAll("\r\n", "\n"))) };
}

export function bytesOf(content: Content): Uint8Array<ArrayBuffer> {
  return content.kind === "text" ? UTF8_OUT.encode(content.text) : content.data;
}

/** Null when the bytes are not what their kind says. */
export function contentOf(code: number, data: Uint8Array<ArrayBuffer>): Content | null {
  if (code === KIND_CODES.png) return { kind: "png", data };
  if (code !== KIND_CODES.text) return null;
  try {
    return { kind: "text", text: UTF8_IN.decode(data) };
  } catch {
    return null;
  }
}

/** Most bytes of the kind with this code; 0 for a code that is none. */
export function limitOf(code: number): number {
  if (code === KIND_CODES.text) return MAX_BYTES.text;
  return code === KIND_CODES.png ? MAX_BYTES.png : 0;
}

export function same(one: Content | null, other: Content | null): boolean {
  if (one === null || other === null || one.kind !== other.kind) return false;
  if (one.kind === "text") return other.kind === "text" && one.text === other.text;
  if (other.kind !== "png" || one.data.length !== other.data.length) return false;
  const { data } = other;
  return one.data.every((byte, at) => byte === data[at]);
}

/** Null for what may be sent; else why it may not. */
export function tooLarge(content: Content): string | null {
  const most = MAX_BYTES[content.kind];
  if (bytesOf(content).length <= most) return null;
  return `The clipboard holds more than ${most >> 20} MiB, which is not copied. Send it as a file.`;
}
