/** The status bar's buttons that concern the page alone: full screen and the on-screen keyboard. */
import { byId } from "./dom";

interface KeyboardLock {
  lock(): Promise<void>;
  unlock(): void;
}

/** `focus` gives the keyboard back to the desktop. */
export function wireButtons(field: HTMLTextAreaElement, focus: () => void): void {
  const root = document.documentElement;
  const fullscreen = byId("fullscreen", HTMLButtonElement);
  fullscreen.hidden = !document.fullscreenEnabled;
  fullscreen.addEventListener("click", () => {
    if (document.fullscreenElement !== null) void document.exitFullscreen();
    else root.requestFullscreen({ navigationUI: "hide" }).catch((error: unknown) => {
      console.warn("the browser refused full screen", error);
    });
  });
  document.addEventListener("fullscreenchange", () => {
    // Escape, Alt+Tab and the like reach the guest; holding Escape leaves. Chromium only, and only with TLS.
    fullscreen.ariaPressed = String(document.fullscreenElement !== null);
    const keyboard = (navigator as Navigator & { keyboard?: KeyboardLock }).keyboard;
    if (document.fullscreenElement === null) keyboard?.unlock();
    else keyboard?.lock().catch(() => undefined);
    focus();
  });
  const raise = byId("raise", HTMLButtonElement);
  raise.addEventListener("click", () => {
    field.focus({ preventScroll: true });
  });
  // A button that was clicked must not keep the keys for itself; one that was pressed by keyboard does.
  byId("bar", HTMLElement).addEventListener("click", (event) => {
    if (event.detail > 0) focus();
  });
}
