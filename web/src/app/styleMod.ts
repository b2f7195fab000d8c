// Stands in for the package style-mod, with which CodeMirror makes its style elements: each gets the page's nonce, also
// those of editors that others have set up.
import { StyleModule as Original } from '../../node_modules/style-mod/src/style-mod.js';
import { cspNonce } from './nonce';

export class StyleModule extends Original {
  static override mount(root: Document | ShadowRoot | DocumentOrShadowRoot, modules: Original | readonly Original[], options?: { nonce?: string }) {
    Original.mount(root as Document, modules as Original[], { ...options, nonce: options?.nonce ?? cspNonce });
  }
}
