/** Every word that the pages show, in the person's language. */
import { de } from "./de";
import { en } from "./en";
import { device } from "../api/storage";

export type Key = keyof typeof en;
export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

type Names<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;
type Values<K extends Key> = [Names<(typeof en)[K]>] extends [never]
  ? []
  : [values: Readonly<Record<Names<(typeof en)[K]>, string | number>>];

export const TABLES: Readonly<Record<Language, Readonly<Record<Key, string>>>> = { en, de };
const SLOT = "fenster.language";

/** The first of the wanted languages (BCP 47) that there is a table of; else English. Pure. */
export function pick(wanted: readonly string[]): Language {
  const known = wanted.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag !== undefined && Object.hasOwn(LANGUAGES, tag));
  return (known as Language | undefined) ?? "en";
}

let language: Language = pick([device.get(SLOT) ?? "", ...("navigator" in globalThis ? navigator.languages : [])]);

export function currentLanguage(): Language {
  return language;
}

/** Speak this from now on; what is shown already stays. */
export function speak(chosen: Language): void {
  language = chosen;
}

/** The person's choice, for the pages to come. */
export function keepLanguage(chosen: Language): void {
  device.set(SLOT, chosen);
}

/** The message, with its values put in. */
export function t<K extends Key>(key: K, ...[values]: Values<K>): string {
  const given: Readonly<Record<string, string | number>> = values ?? {};
  return TABLES[language][key].replaceAll(/\{(\w+)\}/g, (whole, name: string) => String(given[name] ?? whole));
}

/** The message of a key that came from elsewhere, if there is one. */
export function maybe(key: string): string | null {
  return Object.hasOwn(en, key) ? TABLES[language][key as Key] : null;
}

/** With so many digits behind the point. */
export function decimal(value: number, digits: number): string {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
