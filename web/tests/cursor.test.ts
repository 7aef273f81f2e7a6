import { describe, expect, it } from "vitest";
import { CURSOR_SLOTS } from "../src/protocol/messages.gen";
import type { Cursor } from "../src/protocol/messages.gen";
import { mendCursorColours } from "../src/transport/novnc_cursor";
import { followPointer } from "../src/transport/novnc_pointer";
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
    expect(new Shapes().take(cursor(1))).toBeUndefined();
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

/** As much of noVNC's RFB as is touched. */
class Rfb {
  static readonly asked: unknown[] = [];
  static readonly messages = {
    clientEncodings: (sock: unknown, encodings: readonly number[]): void => {
      Rfb.asked.push([sock, ...encodings]);
    },
  };
  readonly _fbWidth = 200;
  readonly _fbHeight = 100;
  _FBU = { encoding: 0, x: 0, y: 0 };
  readonly drawn: number[] = [];
  _sendEncodings(): void {
    Rfb.messages.clientEncodings("sock", [1, -239]);
  }
  _handleRect(): boolean {
    this.drawn.push(this._FBU.encoding);
    return false;
  }
  _updateCursor(): void {
    return;
  }
}

describe("noVNC's pointer", () => {
  const told: unknown[] = [];
  const rfb = new Rfb();
  followPointer(rfb, { cursor: (shape) => told.push(shape), pointer: (place) => told.push(place) });

  it("is asked for, and of this connection only", () => {
    const { clientEncodings } = Rfb.messages;
    rfb._sendEncodings();
    new Rfb()._sendEncodings();
    expect(Rfb.asked).toEqual([
      ["sock", 1, -239, -232],
      ["sock", 1, -239],
    ]);
    expect(Rfb.messages.clientEncodings).toBe(clientEncodings);
  });

  it("is told as fractions of the display, at their pixels' middle", () => {
    told.length = 0;
    for (const [x, y] of [[0, 0], [199, 99], [100, 500]] as const) {
      rfb._FBU = { encoding: -232, x, y };
      expect(rfb._handleRect()).toBe(true);
    }
    expect(told).toEqual([
      { x: 163, y: 327 },
      { x: 65372, y: 65208 },
      { x: 32931, y: 65535 },
    ]);
    expect(rfb.drawn).toEqual([]);
  });

  it("leaves every other rectangle to noVNC", () => {
    rfb._FBU = { encoding: 7, x: 1, y: 2 };
    expect(rfb._handleRect()).toBe(false);
    expect(rfb.drawn).toEqual([7]);
  });

  it("can be hidden", () => {
    told.length = 0;
    (rfb as { _updateCursor(...told: unknown[]): void })._updateCursor(new Uint8Array(0), 0, 0, 0, 0);
    expect(told).toEqual([null]);
  });
});
