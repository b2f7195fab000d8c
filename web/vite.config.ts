import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Leaves out the fonts that Perses' own theme brings: the page has another theme, with the fonts of the system. */
const withoutFonts: Plugin = {
  name: 'without-fonts',
  enforce: 'pre',
  resolveId: (id) => (id.startsWith('@fontsource/') ? '\0no-font' : undefined),
  load: (id) => (id === '\0no-font' ? '' : undefined),
};

/** Packages whose modules do nothing but define: what of them is not used is left out, with its fonts and styles. */
const definesOnly = /\/node_modules\/(@perses-dev|mdi-material-ui|@mui\/x-date-pickers|@module-federation)\//;

const own = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  plugins: [withoutFonts, react()],
  // Perses' packages say global, as in Node.
  define: { global: 'globalThis' },
  // Packages that make style elements without the page's nonce, which its policy refuses.
  resolve: {
    alias: [
      { find: /^style-mod$/, replacement: own('src/app/styleMod.ts') },
      { find: /^notistack$/, replacement: own('src/dashboards/notistack.ts') },
    ],
  },
  // Every address in the build is relative to the document's base, which the gateway writes: so the page works below
  // any path prefix.
  base: './',
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    // No data: addresses: the page's policy allows none for scripts and fonts.
    assetsInlineLimit: 0,
    sourcemap: false,
    target: 'es2022',
    modulePreload: { polyfill: false },
    // The charts of dashboards are one large file, which only dashboards load.
    chunkSizeWarningLimit: 2_000,
    rollupOptions: {
      // Comments of others in places where nobody reads them.
      onwarn: (warning, warn) => warning.code === 'INVALID_ANNOTATION' || warn(warning),
      // What changes only with a dependency stays in the browser's cache when the gateway is updated.
      output: { manualChunks: { vendor: ['react', 'react-dom', 'react-router-dom', '@tanstack/react-query'] } },
      treeshake: { moduleSideEffects: (id) => !definesOnly.test(id) },
    },
  },
  // The tests in browser/ have a gateway around them and another runner.
  test: { include: ['src/**/*.test.ts'] },
});
