import { defineConfig } from 'vitest/config';

// The page is served from the root of the same origin as JMAP. No inline
// script or style is emitted, so that a strict Content-Security-Policy holds;
// the module-preload polyfill would be such a script, and every browser that
// reads ES2022 preloads modules by itself.
export default defineConfig({
  base: '/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
  },
  server: { proxy: {} },
  test: { environment: 'jsdom', include: ['{kit,data,webmail,dev}/**/*.test.{ts,tsx}'] },
});
