import { StateEffect, StateField } from '@codemirror/state';
import { Decoration, EditorView, type DecorationSet } from '@codemirror/view';

/** Where an error of the server is, such as 1:17 for the first line's 17th character. */
export interface Position {
  line: number;
  column: number;
}

/** Prometheus writes the place in front of what it could not parse: "1:17: parse error: …". */
export function positionIn(message: string): Position | undefined {
  const match = /(?:^|[^\d])(\d{1,6}):(\d{1,6}): parse error/.exec(message);
  return match ? { line: Number(match[1]), column: Number(match[2]) } : undefined;
}

export const markAnswerError = StateEffect.define<Position | undefined>();

const mark = Decoration.mark({ class: 'cm-answerError' });

/** Marks the place of the server's error until the query is edited. */
export const answerError = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (effect.is(markAnswerError)) next = marksFor(transaction.state.doc, effect.value);
    }
    return next;
  },
  provide: (own) => EditorView.decorations.from(own),
});

function marksFor(doc: EditorView['state']['doc'], position: Position | undefined): DecorationSet {
  if (!position || position.line < 1 || position.line > doc.lines || doc.length === 0) return Decoration.none;
  const line = doc.line(position.line);
  // An error at the end, such as a bracket that nobody closed, is shown on the last character.
  const from = Math.max(line.from, Math.min(line.from + position.column - 1, line.to - 1));
  const to = Math.min(from + 1, doc.length);
  return from < to ? Decoration.set(mark.range(from, to)) : Decoration.none;
}

