import { EditorState } from '@codemirror/state';
import { describe, expect, it } from 'vitest';
import { answerError, markAnswerError, positionIn } from './answerError';

describe('the place of an error', () => {
  it('stands in the sentence', () => {
    expect(positionIn('invalid parameter "query": 1:17: parse error: unclosed left parenthesis (request id e5)')).toEqual({ line: 1, column: 17 });
    expect(positionIn('12:3: parse error: unexpected')).toEqual({ line: 12, column: 3 });
    expect(positionIn('the query spans 324d20h, and 90d is the limit')).toBeUndefined();
  });
});

describe('the mark', () => {
  const marked = (doc: string, line: number, column: number) => {
    let state = EditorState.create({ doc, extensions: answerError });
    state = state.update({ effects: markAnswerError.of({ line, column }) }).state;
    const found: [number, number][] = [];
    state.field(answerError).between(0, doc.length, (from, to) => void found.push([from, to]));
    return { state, found };
  };
  it.each<[string, number, number, [number, number][]]>([
    ['sum(x', 1, 2, [[1, 2]]], ['sum(x', 1, 6, [[4, 5]]], ['a\nbc', 2, 1, [[2, 3]]], ['a', 9, 1, []], ['', 1, 1, []], ['a', 1, 0, [[0, 1]]],
  ])('in %j at %d:%d', (doc, line, column, expected) => {
    expect(marked(doc, line, column).found).toEqual(expected);
  });
  it('goes away with the next edit', () => {
    const { state } = marked('sum(x', 1, 2);
    const edited = state.update({ changes: { from: 5, insert: ')' } }).state;
    expect(edited.field(answerError).size).toBe(0);
  });
});
