import { describe, expect, it } from 'vitest';
import { fillPlaceholder, joinPieces } from './placeholder';

const text = 'first: Bearer TOKEN\nsecond: TOKEN';

describe('fillPlaceholder', () => {
  it('marks the placeholder while there is no token', () => {
    const pieces = fillPlaceholder(text, 'TOKEN');
    expect(pieces.filter(({ isToken }) => isToken)).toHaveLength(2);
    expect(joinPieces(pieces)).toBe(text);
  });
  it('puts the token in every place', () => {
    expect(joinPieces(fillPlaceholder(text, 'TOKEN', '$& pg'))).toBe('first: Bearer $& pg\nsecond: $& pg');
  });
  it('leaves a text without places as it is', () => {
    expect(fillPlaceholder('up', 'TOKEN', 'x')).toEqual([{ text: 'up', isToken: false }]);
    expect(fillPlaceholder('up', '', 'x')).toEqual([{ text: 'up', isToken: false }]);
  });
});
