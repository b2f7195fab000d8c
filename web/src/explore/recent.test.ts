import { describe, expect, it } from 'vitest';
import { addRecent, clearRecent, loadRecent, maxRecent } from './recent';

function memory(): Storage {
  const items = new Map<string, string>();
  return {
    get length() { return items.size; },
    key: () => null,
    clear: () => items.clear(),
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

describe('recent queries', () => {
  it('come last first, and once each', () => {
    const storage = memory();
    addRecent('p', 'e', ['a'], storage);
    addRecent('p', 'e', ['b', ' c '], storage);
    addRecent('p', 'e', ['a', ''], storage);
    expect(loadRecent('p', 'e', storage)).toEqual(['a', 'b', 'c']);
    expect(loadRecent('p', 'other', storage)).toEqual([]);
  });
  it('are bounded', () => {
    const storage = memory();
    for (let at = 0; at < 80; at++) addRecent('p', 'e', [`q${at}`], storage);
    addRecent('p', 'e', ['x'.repeat(20_000)], storage);
    const recent = loadRecent('p', 'e', storage);
    expect(recent).toHaveLength(maxRecent);
    expect(recent[0]).toBe('q79');
  });
  it('can be cleared', () => {
    const storage = memory();
    addRecent('p', 'e', ['a'], storage);
    clearRecent('p', 'e', storage);
    expect(loadRecent('p', 'e', storage)).toEqual([]);
  });
  it('survive rubbish and a storage that refuses', () => {
    const storage = memory();
    storage.setItem('promgate.explore.recent.p/e', '{"a":');
    expect(loadRecent('p', 'e', storage)).toEqual([]);
    storage.setItem('promgate.explore.recent.p/e', '[1,"a",null]');
    expect(loadRecent('p', 'e', storage)).toEqual(['a']);
    const refusing = { ...memory(), getItem: () => { throw new Error('no'); }, setItem: () => { throw new Error('full'); } };
    expect(() => addRecent('p', 'e', ['a'], refusing)).not.toThrow();
  });
});
