/** What the sound button says in every situation. Pure. */
import { t } from "../words/words";

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
      return { state: "unavailable", label: t("sound.none") };
    case "novnc":
      return { state: "unavailable", label: t("sound.novnc") };
    case "mute":
      return { state: "unavailable", label: t("sound.mute") };
    case "ready":
      if (!wanted) return { state: "off", label: t("sound.off") };
      if (blocked) return { state: "blocked", label: t("sound.blocked") };
      return { state: "on", label: t("sound.on") };
  }
}
