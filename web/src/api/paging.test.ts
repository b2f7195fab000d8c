import { describe, expect, it } from 'vitest';
import { withParameters } from './paging';

describe('withParameters', () => {
  it('leaves out what is not set', () => {
    expect(withParameters('environments', { search: '', after: undefined })).toBe('environments');
  });
  it('escapes values', () => {
    expect(withParameters('environments', { search: 'a&b=c d', limit: 200 })).toBe('environments?search=a%26b%3Dc+d&limit=200');
  });
});
