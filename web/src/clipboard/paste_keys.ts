/** Which keys paste. Pure. */

type Pressed = Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">;

/** Ctrl+V, Ctrl+Shift+V, Shift+Insert, and Command+V. */
export function isPaste(event: Pressed): boolean {
  if (event.altKey) return false;
  if (event.key === "Insert") return event.shiftKey && !event.ctrlKey && !event.metaKey;
  const latin = event.key.length === 1 && event.key.charCodeAt(0) < 128;
  const letter = latin ? event.key.toLowerCase() === "v" : event.code === "KeyV";
  return letter && event.ctrlKey !== event.metaKey;
}
