import { describe, expect, it } from "vitest";
import { parseList } from "../src/files/gateway";
import { encodePath, nextName, size } from "../src/files/names";

describe("names", () => {
  it("finds one beside a name that is taken", () => {
    expect([0, 1, 2].map((tries) => nextName("a.b.txt", tries))).toEqual(["a.b.txt", "a.b (2).txt", "a.b (3).txt"]);
    expect(nextName("Makefile", 1)).toBe("Makefile (2)");
    expect(nextName(".bashrc", 1)).toBe(".bashrc (2)");
  });

  it("makes a path of a URL, each name by itself", () => {
    expect(encodePath("Downloads/50% of ä?#.txt")).toBe("Downloads/50%25%20of%20%C3%A4%3F%23.txt");
  });

  it.each([
    [0, "0 bytes"],
    [1023, "1023 bytes"],
    [1024, "1.0 KiB"],
    [150 * 1024, "150 KiB"],
    [5.25 * 1024 * 1024, "5.3 MiB"],
    [3 * 1024 ** 4, "3.0 TiB"],
  ])("says %d as %s", (bytes, said) => {
    expect(size(bytes).replace("\u00a0", " ")).toBe(said);
  });
});

describe("a listing", () => {
  it("has ordinary files, the newest first", () => {
    const at = (name: string, kind: string, modified: string) => ({ name, kind, size: 5, modified_at: modified });
    const files = [
      at("old", "file", "2026-01-01T00:00:00Z"), at("folder", "directory", "2026-01-03T00:00:00Z"),
      at(".hidden", "file", "2026-01-03T00:00:00Z"), at("new", "file", "2026-01-02T00:00:00Z"), "nonsense", { kind: "file" },
    ];
    expect(parseList({ files }).map(({ name }) => name)).toEqual(["new", "old"]);
    expect(parseList(null)).toEqual([]);
  });
});
