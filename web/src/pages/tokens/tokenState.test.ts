import { describe, expect, it } from 'vitest';
import type { Token } from '../../api/types';
import { endsSoon, isLive, makerOf, scopeText } from './tokenState';

const now = Date.parse('2025-11-21T20:00:00Z');
const token = (state: Token['state'], days: number, environment?: string): Token => ({
  id: 'a',
  description: 'Grafana',
  project: 'shop',
  environment,
  state,
  createdAt: '2025-01-01T00:00:00Z',
  expiresAt: new Date(now + days * 86_400_000).toISOString(),
});

describe('isLive', () => {
  it.each([
    ['active', true],
    ['rotated', true],
    ['expired', false],
    ['revoked', false],
  ] as const)('%s: %s', (state, live) => expect(isLive(token(state, 30))).toBe(live));
});

describe('endsSoon', () => {
  it('warns in the last week', () => {
    expect(endsSoon(token('active', 6), now)).toBe(true);
    expect(endsSoon(token('active', 8), now)).toBe(false);
  });
  it('is quiet about a token that has a successor or is over', () => {
    expect(endsSoon(token('rotated', 1), now)).toBe(false);
    expect(endsSoon(token('expired', -1), now)).toBe(false);
  });
});

describe('scopeText', () => {
  it('names the environment, or all of them', () => {
    expect(scopeText(token('active', 1, 'production'))).toBe('production');
    expect(scopeText(token('active', 1))).toBe('Every environment');
  });
});

describe('makerOf', () => {
  it.each([
    ['local:demo', 'by demo', 'demo (users file)'],
    ['kubernetes:system:serviceaccount:a:b', 'by system:serviceaccount:a:b', 'system:serviceaccount:a:b (Kubernetes)'],
    ['cli:root', 'by root, on the command line', 'cli:root'],
    ['cli', 'on the command line', 'cli'],
    ['someone', 'by someone', 'someone'],
  ])('%s', (createdBy, text, title) => expect(makerOf({ ...token('active', 1), createdBy })).toEqual({ text, title }));
  it('is silent where nobody knows', () => expect(makerOf(token('active', 1))).toBeUndefined());
});
