import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { sizeLimit } from "./size_limit";

/** embed.html is viewer.html with another script and a slim bar; as a file of its own it would drift. */
function embedPage(): Plugin {
  let root = "";
  return {
    name: "embed-page",
    enforce: "pre",
    configResolved(config) {
      root = config.root;
    },
    resolveId: (id) => (id === "embed.html" ? `${root}/embed.html` : null),
    async load(id) {
      if (id !== `${root}/embed.html`) return null;
      this.addWatchFile(`${root}/viewer.html`);
      const page = await this.fs.readFile(`${root}/viewer.html`, { encoding: "utf8" });
      const made = page.replace("/src/view/main.ts", "/src/embed/main.ts").replace("<html ", '<html data-frame="slim" ');
      if (!made.includes("/src/embed/main.ts") || !made.includes("data-frame")) throw new Error("viewer.html has changed its shape");
      return made;
    },
  };
}

export default defineConfig({
  plugins: [embedPage(), sizeLimit("viewer", 60_000)],
  build: {
    // Ships inside the Python distribution, served by the gateway.
    outDir: "../gateway/static",
    emptyOutDir: true,
    // noVNC awaits at its top level.
    target: "es2022",
    // No data: URLs and no inline scripts, so that a strict Content-Security-Policy can hold.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: "index.html", viewer: "viewer.html", embed: "embed.html" },
    },
  },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
