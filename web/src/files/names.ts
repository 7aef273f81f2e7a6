/** Names of uploaded files. Pure. */

/** The name to try after `tries` were taken: "a.txt", "a (2).txt", "a (3).txt". */
export function nextName(name: string, tries: number): string {
  if (tries === 0) return name;
  const dot = name.lastIndexOf(".");
  const stem = dot > 0 ? name.slice(0, dot) : name;
  return `${stem} (${tries + 1})${dot > 0 ? name.slice(dot) : ""}`;
}

/** "12.5 MiB". */
export function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)}\u00a0${units[unit] ?? ""}`;
}

/** A path as a URL's: each name by itself. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
