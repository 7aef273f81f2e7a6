/** Cutting text to what one message may carry. Pure. */

const UTF8 = new TextEncoder();

/** Cut `text` into pieces of at most `maxBytes` of UTF-8, never inside a code point. `maxBytes` is 4 or more. */
export function chunks(text: string, maxBytes: number): string[] {
  const pieces: string[] = [];
  let piece = "";
  let size = 0;
  for (const char of text) {
    const bytes = UTF8.encode(char).length;
    if (size + bytes > maxBytes) {
      pieces.push(piece);
      piece = "";
      size = 0;
    }
    piece += char;
    size += bytes;
  }
  if (piece !== "") pieces.push(piece);
  return pieces;
}
