import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [react()],
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
    // What changes only with a dependency stays in the browser's cache when the gateway is updated.
    rollupOptions: { output: { manualChunks: { vendor: ['react', 'react-dom', 'react-router-dom', '@tanstack/react-query'] } } },
  },
  // The tests in browser/ have a gateway around them and another runner.
  test: { include: ['src/**/*.test.ts'] },
});
