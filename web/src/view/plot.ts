/** A small live plot: one line in its own scale, the newest value at the right. */

/** The most recent `most` values. */
export class Series {
  readonly #values: (number | null)[] = [];

  constructor(private readonly most: number) {}

  push(value: number | null): void {
    this.#values.push(value);
    if (this.#values.length > this.most) this.#values.shift();
  }

  clear(): void {
    this.#values.length = 0;
  }

  get values(): readonly (number | null)[] {
    return this.#values;
  }
}

/**
 * An SVG path of values, oldest first, in a box of `width` by `height` with 0 at the bottom and the largest value, at
 * least `floor`, at the top; a null breaks the line. Pure.
 */
export function pathOf(values: readonly (number | null)[], most: number, width: number, height: number, floor: number): string {
  const top = Math.max(floor, ...values.map((value) => value ?? 0));
  const step = width / Math.max(1, most - 1);
  const first = width - step * (values.length - 1);
  let path = "";
  let drawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const x = (first + step * index).toFixed(1);
    const y = (height - (value / top) * height).toFixed(1);
    path += `${drawing ? "L" : "M"}${x} ${y}`;
    drawing = true;
  });
  return path;
}

const SVG = "http://www.w3.org/2000/svg";

export class Plot {
  readonly node = document.createElementNS(SVG, "svg");
  readonly #lines: { readonly series: Series; readonly path: SVGPathElement; readonly floor: number }[] = [];

  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly most: number,
    label: string,
  ) {
    this.node.setAttribute("viewBox", `0 -2 ${width} ${height + 4}`);
    this.node.setAttribute("role", "img");
    this.node.setAttribute("aria-label", label);
  }

  /** A line; `floor` is the least value of its upper edge. */
  line(name: string, floor: number): Series {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `line line-${name}`);
    this.node.append(path);
    const series = new Series(this.most);
    this.#lines.push({ series, path, floor });
    return series;
  }

  draw(): void {
    for (const { series, path, floor } of this.#lines) {
      path.setAttribute("d", pathOf(series.values, this.most, this.width, this.height, floor));
    }
  }
}
