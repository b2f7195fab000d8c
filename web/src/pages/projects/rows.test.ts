import { describe, expect, it } from 'vitest';
import type { Environment } from '../../api/types';
import { toRows } from './rows';

const environment = (project: string, name: string) => ({ project, name }) as Environment;

describe('toRows', () => {
  it('puts environments below their project', () => {
    const rows = toRows([environment('shop', 'production'), environment('shop', 'staging'), environment('wiki', 'production')], false);
    expect(rows.map((row) => row.key)).toEqual(['shop', 'shop/production', 'shop/staging', 'wiki', 'wiki/production']);
    expect(rows[0]).toMatchObject({ count: 2, isComplete: true });
    expect(rows.filter((row) => row.kind === 'environment' && row.isLast).map((row) => row.key)).toEqual(['shop/staging', 'wiki/production']);
  });
  it('knows that the last project may go on', () => {
    const rows = toRows([environment('shop', 'production'), environment('wiki', 'production')], true);
    expect(rows[0]).toMatchObject({ project: 'shop', isComplete: true });
    expect(rows[2]).toMatchObject({ project: 'wiki', isComplete: false });
  });
  it('of nothing is nothing', () => expect(toRows([], false)).toEqual([]));
});
