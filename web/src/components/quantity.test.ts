import { describe, expect, it } from 'vitest';
import { countText, numberText, sizeText } from './quantity';

describe('sizeText', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536 * 1024 * 1024, '1.5 GiB'],
    [32 * 1024 * 1024, '32 MiB'],
  ])('%d is "%s"', (bytes, text) => expect(sizeText(bytes)).toBe(text));
});

describe('numbers', () => {
  it('have separators', () => expect(numberText(50_000_000)).toBe('50,000,000'));
  it('count in the singular and the plural', () => {
    expect(countText(1, 'environment')).toBe('1 environment');
    expect(countText(1200, 'environment')).toBe('1,200 environments');
  });
});
