/** Light or dark: as the system has it, or as the person chose. The colours themselves are in base.css. */
import { device } from "../api/storage";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
const SLOT = "fenster.theme";

export function currentTheme(): Theme {
  return THEMES.find((theme) => theme === device.get(SLOT)) ?? "system";
}

export function chooseTheme(theme: Theme): void {
  device.set(SLOT, theme);
  applyTheme(theme);
}

export function applyTheme(theme: Theme = currentTheme()): void {
  document.documentElement.style.colorScheme = theme === "system" ? "" : theme;
}
