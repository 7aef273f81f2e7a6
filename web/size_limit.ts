/** A build step: how large the viewer is on the wire before noVNC, and an end to the build when it is too large. */
import type { Plugin, Rollup } from "vite";

/** Of scripts and styles that `page` loads at once, after gzip. */
export function sizeLimit(page: string, limitBytes: number): Plugin {
  return {
    name: "size-limit",
    apply: "build",
    // After Vite's own, which make the styles.
    enforce: "post",
    async generateBundle(_, bundle) {
      const names = atOnce(bundle, page);
      if (names.some((name) => name.includes("rfb"))) this.error(`${page} loads noVNC at once`);
      const sizes = await Promise.all(names.map((name) => gzipped(bundle[name])));
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const said = `${page}: ${(total / 1000).toFixed(1)} kB gzip without noVNC, of at most ${limitBytes / 1000} kB`;
      if (total > limitBytes) this.error(said);
      this.info(said);
    },
  };
}

/** The page's script, what it imports other than on demand, and their styles. */
function atOnce(bundle: Rollup.OutputBundle, page: string): string[] {
  const names = new Set<string>();
  const add = (name: string): void => {
    const chunk = bundle[name];
    if (names.has(name) || chunk?.type !== "chunk") return;
    names.add(name);
    for (const style of chunk.viteMetadata?.importedCss ?? []) names.add(style);
    for (const imported of chunk.imports) add(imported);
  };
  for (const chunk of Object.values(bundle)) {
    if (chunk.type === "chunk" && chunk.isEntry && chunk.name === page) add(chunk.fileName);
  }
  if (names.size === 0) throw new Error(`no page ${page}`);
  return [...names];
}

async function gzipped(file: Rollup.OutputAsset | Rollup.OutputChunk | undefined): Promise<number> {
  if (file === undefined) return 0;
  const content = new Blob([file.type === "chunk" ? file.code : (file.source as BlobPart)]);
  const packed = content.stream().pipeThrough(new CompressionStream("gzip"));
  return (await new Response(packed).arrayBuffer()).byteLength;
}
