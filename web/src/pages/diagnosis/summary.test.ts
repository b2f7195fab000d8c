import { describe, expect, it } from 'vitest';
import type { Hop } from '../../api/types';
import { hopTitle, summarize } from './summary';

const ok: Hop = { name: 'api server', status: 'ok', found: 'It answers.' };
const failed: Hop = { name: 'rbac', status: 'failed', found: 'get on services/proxy is denied', cause: 'No Role allows it.' };
const skipped: Hop = { name: 'service', status: 'skipped', found: '' };

describe('summarize', () => {
  it('says that everything works', () => expect(summarize([ok])).toEqual({ isGood: true, text: 'Everything works' }));
  it('promises no more than was checked', () => expect(summarize([ok, skipped]).text).toBe('Everything that was checked works'));
  it('names the hop that fails', () => {
    expect(summarize([ok, failed, skipped])).toEqual({ isGood: false, text: 'Stops at RBAC: the hop below says why.' });
  });
  it('sends viewers to a maintainer', () => {
    expect(summarize([{ name: 'rbac', status: 'failed', found: '' }]).text).toBe('Stops at RBAC: Ask a maintainer for the details.');
  });
});

describe('hopTitle', () => {
  it('knows the usual hops, and writes others with a capital', () => {
    expect(hopTitle('api server')).toBe('API server');
    expect(hopTitle('dns')).toBe('Dns');
  });
});
