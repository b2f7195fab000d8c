import { describe, expect, it } from 'vitest';
import { readSignInState, returnToOf, signInErrorSentence } from './signInState';

describe('readSignInState', () => {
  it('reads what RequireSession wrote', () => {
    const state = { from: '/projects/shop/tokens?x=1', ended: true };
    expect(readSignInState(state)).toEqual(state);
  });
  it.each([null, 'text', {}, { from: 'https://elsewhere' }, { from: '//elsewhere' }, { from: 3 }])('takes no place from %j', (state) => {
    expect(readSignInState(state).from).toBeUndefined();
  });
});

describe('returnToOf', () => {
  it('is relative to the page', () => {
    expect(returnToOf('/projects/shop/environments/production/explore?expr=up')).toBe('projects/shop/environments/production/explore?expr=up');
    expect(returnToOf('/')).toBe('');
    expect(returnToOf(undefined)).toBe('');
  });
  it('has no fragment', () => expect(returnToOf('/a#b')).toBe('a'));
});

describe('signInErrorSentence', () => {
  it('knows the codes of the gateway', () => expect(signInErrorSentence('refused')).toContain('refused'));
  it('says something about any other', () => {
    expect(signInErrorSentence('toString')).toBe('The sign-in did not work. Try again.');
  });
  it('says nothing without one', () => expect(signInErrorSentence(null)).toBeUndefined());
});
