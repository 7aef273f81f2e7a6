/** Where the picture stands in its box, and points in it as wire fractions. Pure. */

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Extent {
  readonly width: number;
  readonly height: number;
}

/** A place on the display as u16 fractions (messages.py). */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** The part of `box` that a picture of `size` covers when it is fitted in whole and centred. */
export function fitted(box: Rect, size: Extent): Rect {
  if (size.width <= 0 || size.height <= 0) return { left: box.left, top: box.top, width: 0, height: 0 };
  const scale = Math.min(box.width / size.width, box.height / size.height);
  const width = size.width * scale;
  const height = size.height * scale;
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

/** Is the point inside, right and bottom edge excluded? */
export function inside(rect: Rect, x: number, y: number): boolean {
  return x >= rect.left && y >= rect.top && x < rect.left + rect.width && y < rect.top + rect.height;
}

/**
 * The display pixel under a client point, as the fraction of its centre: `floor((px + 0.5) * 65536 / size)`.
 * Points outside `rect` count as the nearest edge.
 */
export function placeOf(rect: Rect, size: Extent, clientX: number, clientY: number): Place {
  return {
    x: fraction(clientX - rect.left, rect.width, size.width),
    y: fraction(clientY - rect.top, rect.height, size.height),
  };
}

function fraction(offset: number, extent: number, size: number): number {
  if (extent <= 0 || size <= 0 || !Number.isFinite(offset)) return 0;
  // Multiplied before it is divided: 13 / 720 * 720 is less than 13.
  const px = Math.min(Math.max(Math.floor((offset * size) / extent), 0), size - 1);
  return Math.floor(((px + 0.5) * 65536) / size);
}
