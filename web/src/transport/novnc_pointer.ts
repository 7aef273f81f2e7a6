/**
 * The pointer for who watches by noVNC: where it is, and its picture.
 *
 * x11vnc tells where another moves it (the PointerPos pseudo-encoding, a rectangle without a body, whose place it is).
 * noVNC 1.7.0 does not ask for that, and would end the connection over it.
 */
import type { Place } from "../input/geometry";

/** https://github.com/rfbproto/rfbproto, "PointerPos Pseudo-encoding". */
const POINTER_POS = -232;

export interface PointerEvents {
  /** What the pointer looks like, with its hotspot in px; null when it is hidden. */
  cursor(shape: { readonly url: string; readonly x: number; readonly y: number } | null): void;
  /** Where it is, as fractions of the display. */
  pointer(place: Place): void;
}

type SendEncodings = (sock: unknown, encodings: readonly number[]) => void;

/** What of noVNC's own is touched (rfb.js). */
interface Internals {
  _fbWidth: number;
  _fbHeight: number;
  _FBU: { readonly encoding: number; readonly x: number; readonly y: number };
  _handleRect(): boolean;
  _sendEncodings(): void;
  _updateCursor(rgba: Uint8Array, hotX: number, hotY: number, width: number, height: number): void;
  constructor: { messages: { clientEncodings: SendEncodings } };
}

/** Before mendCursorColours, which puts the picture's colours right. */
export function followPointer(rfb: object, events: PointerEvents): void {
  const internals = rfb as Internals;
  const { messages } = internals.constructor;

  const sendEncodings = internals._sendEncodings.bind(rfb);
  internals._sendEncodings = () => {
    const stock = messages.clientEncodings;
    messages.clientEncodings = (sock, encodings) => {
      stock(sock, [...encodings, POINTER_POS]);
    };
    try {
      sendEncodings();
    } finally {
      messages.clientEncodings = stock;
    }
  };

  const handleRect = internals._handleRect.bind(rfb);
  internals._handleRect = () => {
    const { encoding, x, y } = internals._FBU;
    if (encoding !== POINTER_POS) return handleRect();
    events.pointer({ x: fraction(x, internals._fbWidth), y: fraction(y, internals._fbHeight) });
    return true;
  };

  const updateCursor = internals._updateCursor.bind(rfb);
  internals._updateCursor = (rgba, hotX, hotY, width, height) => {
    updateCursor(rgba, hotX, hotY, width, height);
    events.cursor(width > 0 && height > 0 ? { url: picture(rgba, width, height), x: hotX, y: hotY } : null);
  };
}

/** The middle of a pixel as a fraction of the display (messages.py). */
function fraction(px: number, sizePx: number): number {
  return Math.min(Math.floor(((2 * px + 1) * 32768) / Math.max(1, sizePx)), 0xffff);
}

function picture(rgba: Uint8Array, width: number, height: number): string {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
  return canvas.toDataURL();
}
