import { describe, expect, it } from "vitest";
import { CURSOR_SLOTS } from "../src/protocol/messages.gen";
import type { Cursor } from "../src/protocol/messages.gen";
import { mendCursorColours } from "../src/transport/novnc_cursor";
import { cssCursor, Shapes } from "../src/view/cursor";

function cursor(slot: number, bytes: readonly number[] = [], x = 0, y = 0): Cursor {
  return { type: "Cursor", slot, x, y, image: Uint8Array.from(bytes) };
}

describe("Shapes", () => {
  it("keeps an image in its slot", () => {
    const shapes = new Shapes();
    expect(shapes.take(cursor(1, [0x89, 0x50], 3, 4))).toEqual({ url: "data:image/png;base64,iVA=", x: 3, y: 4 });
    shapes.take(cursor(2, [1]));
    expect(shapes.take(cursor(1, [], 5, 6))).toEqual({ url: "data:image/png;base64,iVA=", x: 5, y: 6 });
    shapes.take(cursor(1, [1]));
    expect(shapes.take(cursor(1))?.url).toBe("data:image/png;base64,AQ==");
  });

  it("is hidden by slot 0, and keeps the others", () => {
    const shapes = new Shapes();
    shapes.take(cursor(1, [1]));
    expect(shapes.take(cursor(0, [1]))).toBeNull();
    expect(shapes.take(cursor(1))).not.toBeNull();
  });

  it("knows nothing of slots that were never filled, or that there are not", () => {
    const shapes = new Shapes();
    expect(shapes.take(cursor(1))).toBeUndefined();
    expect(shapes.take(cursor(CURSOR_SLOTS, [1]))).toBeUndefined();
    shapes.take(cursor(1, [1]));
    shapes.clear();
    expect(shapes.take(cursor(1))).toBeUndefined();
  });
});

describe("cssCursor", () => {
  it("names image, hotspot and what to fall back to", () => {
    expect(cssCursor({ url: "data:,a", x: 1, y: 2 })).toBe('url("data:,a") 1 2, default');
    expect(cssCursor(null)).toBe("none");
  });
});

describe("noVNC's cursor", () => {
  it("has its colours put right, and everything else left", () => {
    const shown: unknown[][] = [];
    const rfb = { _updateCursor: (...told: unknown[]) => shown.push(told) };
    mendCursorColours(rfb);
    rfb._updateCursor(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 9, 10, 2, 1);
    expect(shown).toEqual([[Uint8Array.of(3, 2, 1, 4, 7, 6, 5, 8), 9, 10, 2, 1]]);
  });
});
