import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { monospace } from '../theme';

const token = (name: string) => `var(--mui-palette-${name})`;

const surface = EditorView.theme({
  '&': { backgroundColor: 'transparent', color: token('text-primary'), fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: monospace, lineHeight: '1.55' },
  '.cm-content': { padding: '8px 0', caretColor: token('text-primary') },
  '.cm-line': { padding: '0 10px' },
  '.cm-cursor': { borderLeftColor: token('text-primary') },
  '.cm-placeholder': { color: token('text-secondary') },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    background: `rgba(${token('primary-mainChannel')} / 0.22)`,
  },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: `rgba(${token('primary-mainChannel')} / 0.2)` },
  '.cm-nonmatchingBracket, &.cm-focused .cm-nonmatchingBracket': { backgroundColor: `rgba(${token('error-mainChannel')} / 0.2)` },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: `underline wavy ${token('error-main')} 1px`, textUnderlineOffset: '3px' },
  '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: `underline wavy ${token('warning-main')} 1px`, textUnderlineOffset: '3px' },
  '.cm-answerError': { backgroundColor: `rgba(${token('error-mainChannel')} / 0.22)`, borderBottom: `2px solid ${token('error-main')}` },
});

const tooltips = EditorView.theme({
  '.cm-tooltip': {
    backgroundColor: token('background-paper'),
    color: token('text-primary'),
    border: `1px solid ${token('divider')}`,
    borderRadius: '8px',
    boxShadow: '0 8px 24px rgba(0, 0, 0, 0.18)',
    zIndex: '1250',
  },
  // Hints must not lie in the way of the buttons below the editor.
  '.cm-tooltip-hover': { pointerEvents: 'none' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: monospace, fontSize: '12.5px', maxHeight: '18em', padding: '4px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 8px', borderRadius: '5px', lineHeight: '1.5' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: token('primary-main'), color: token('primary-contrastText') },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-completionDetail': { fontStyle: 'normal', opacity: '0.75', marginLeft: '1.2em' },
  '.cm-tooltip.cm-completionInfo': { padding: '8px 10px', maxWidth: 'min(360px, 60vw)', fontSize: '12.5px' },
  '.cm-diagnostic': { padding: '6px 10px', fontSize: '12.5px', borderLeftWidth: '3px', whiteSpace: 'pre-wrap' },
  '.cm-metricHint': { padding: '8px 10px', maxWidth: '360px', fontSize: '12.5px' },
  '.cm-metricHint > strong': { display: 'block', overflowWrap: 'anywhere' },
});

/** Colours that reach a contrast of 4.5 on the theme's paper. */
const light = {
  metric: '#17212b',
  fn: '#0b6478',
  keyword: '#7b2f9b',
  label: '#8a4b00',
  string: '#1b6b3a',
  number: '#2b5f9b',
  quiet: '#56636f',
};
const dark: typeof light = {
  metric: '#e3e9ee',
  fn: '#6cc5d9',
  keyword: '#d3a2ec',
  label: '#efb55c',
  string: '#7fd19f',
  number: '#8ab8ee',
  quiet: '#9eacb8',
};

function highlight(colours: typeof light): Extension {
  return syntaxHighlighting(
    HighlightStyle.define([
      { tag: tags.variableName, color: colours.metric },
      { tag: tags.function(tags.variableName), color: colours.fn },
      { tag: [tags.operatorKeyword, tags.modifier, tags.logicOperator], color: colours.keyword },
      { tag: tags.labelName, color: colours.label },
      { tag: tags.string, color: colours.string },
      { tag: tags.number, color: colours.number },
      { tag: [tags.operator, tags.arithmeticOperator, tags.paren, tags.squareBracket, tags.brace], color: colours.quiet },
      { tag: tags.comment, color: colours.quiet, fontStyle: 'italic' },
    ]),
  );
}

const lightTheme: Extension = [surface, tooltips, highlight(light)];
const darkTheme: Extension = [surface, tooltips, highlight(dark), EditorView.darkTheme.of(true)];

export function editorTheme(isDark: boolean): Extension {
  return isDark ? darkTheme : lightTheme;
}
