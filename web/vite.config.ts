import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // Every address in the build is relative to the document's base, which the gateway writes: so the page works below
  // any path prefix.
  base: './',
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, sourcemap: false, target: 'es2022', modulePreload: { polyfill: false } },
});
