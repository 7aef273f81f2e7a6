import { defineConfig } from "vitest/config";
import { sizeLimit } from "./size_limit";

export default defineConfig({
  plugins: [sizeLimit("viewer", 60_000)],
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
      input: { index: "index.html", viewer: "viewer.html" },
    },
  },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
