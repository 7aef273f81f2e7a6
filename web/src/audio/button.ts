/** What the sound button says in every situation. Pure. */

/** How the desktop can be heard now. */
export type Hearing =
  /** No picture yet. */
  | "none"
  /** By noVNC, which carries none. */
  | "novnc"
  /** By WebRTC, whose agent offers none. */
  | "mute"
  | "ready";

/** For `<html data-sound>`, and the button. */
export interface SoundView {
  readonly state: "unavailable" | "off" | "on" | "blocked";
  readonly label: string;
}

/** `blocked`: the browser plays nothing before the person touches the page. */
export function soundView(hearing: Hearing, wanted: boolean, blocked: boolean): SoundView {
  switch (hearing) {
    case "none":
      return { state: "unavailable", label: "Sound comes with the picture" };
    case "novnc":
      return { state: "unavailable", label: "noVNC carries no sound" };
    case "mute":
      return { state: "unavailable", label: "This desktop sends no sound" };
    case "ready":
      if (!wanted) return { state: "off", label: "Turn the sound on" };
      if (blocked) return { state: "blocked", label: "Click anywhere to hear the desktop" };
      return { state: "on", label: "Turn the sound off" };
  }
}
