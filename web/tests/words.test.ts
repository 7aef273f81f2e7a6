import { afterEach, describe, expect, it } from "vitest";
import index from "../index.html?raw";
import viewer from "../viewer.html?raw";
import { seconds } from "../src/view/stages";
import { de } from "../src/words/de";
import { en } from "../src/words/en";
import { currentLanguage, decimal, maybe, pick, speak, t } from "../src/words/words";

afterEach(() => {
  speak("en");
});

const holes = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();

const SOURCES = import.meta.glob<string>("../src/**/*.ts", { query: "?raw", import: "default", eager: true });

describe("the tables", () => {
  it("have the same keys, with the same values put in, and nothing empty", () => {
    expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort());
    for (const [key, text] of Object.entries(en)) {
      const other = de[key as keyof typeof en];
      expect([key, holes(other)]).toEqual([key, holes(text)]);
      expect([key, text.trim() !== "", other.trim() !== ""]).toEqual([key, true, true]);
      // A sentence stays one.
      expect([key, /[.!?]$/.test(other)]).toEqual([key, /[.!?]$/.test(text)]);
    }
  });

  it("hold no key that nobody shows", () => {
    const shown = Object.entries(SOURCES).filter(([path]) => !/words.(en|de)\.ts$/.test(path));
    const sources = [...shown.map(([, source]) => source), index, viewer].join("\n");
    // Of a key that is put together, the name up to a dot stands before a "${".
    const built = (key: string): boolean =>
      key.split(".").some((_, at, parts) => sources.includes(`\`${parts.slice(0, at + 1).join(".")}.\${`));
    const unused = Object.keys(en).filter((key) => !sources.includes(`"${key}"`) && !built(key));
    expect(unused).toEqual([]);
  });
});

describe("the language", () => {
  it.each([
    [["de-AT", "en"], "de"],
    [["fr", "de"], "de"],
    [["fr"], "en"],
    [["", "en-GB", "de"], "en"],
    [["constructor"], "en"],
    [[], "en"],
  ])("of %j is %s", (wanted, language) => {
    expect(pick(wanted)).toBe(language);
  });

  it("is that of whoever chose it, down to the comma", () => {
    expect(t("control.viewer", { number: 2 })).toBe("Viewer 2");
    expect(seconds(1.5)).toBe("1.50\u00a0s");
    speak("de");
    expect(currentLanguage()).toBe("de");
    expect(t("control.viewer", { number: 2 })).toBe("Betrachter 2");
    expect(seconds(1.5)).toBe("1,50\u00a0s");
    expect(decimal(12, 0)).toBe("12");
  });

  it("puts values in as they are, and no others", () => {
    expect(t("why.refused", { detail: "{number} $& $1" })).toContain(": {number} $& $1");
    expect(maybe("stage.disk")).toBe("Disk copied");
    expect(maybe("toString")).toBeNull();
  });
});
