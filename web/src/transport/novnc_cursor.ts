/** A mend for noVNC's cursors. */

interface Internals {
  _updateCursor?: (rgba: Uint8Array, hotX: number, hotY: number, width: number, height: number) => void;
}

/**
 * noVNC 1.7.0 asks for pixels with red first (rfb.js, pixelFormat) and reads those of a cursor (RFC 6143 7.8.1) as if
 * blue were first. Servers with VMware's cursor encoding never show it; x11vnc has none.
 */
export function mendCursorColours(rfb: object): void {
  const internals = rfb as Internals;
  const update = internals._updateCursor?.bind(rfb);
  if (update === undefined) return;
  internals._updateCursor = (rgba, ...rest) => {
    update(redForBlue(rgba), ...rest);
  };
}

export function redForBlue(pixels: Uint8Array): Uint8Array {
  const swapped = pixels.slice();
  for (let at = 0; at + 2 < pixels.length; at += 4) {
    swapped[at] = pixels[at + 2] ?? 0;
    swapped[at + 2] = pixels[at] ?? 0;
  }
  return swapped;
}
