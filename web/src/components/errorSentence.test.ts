import { describe, expect, it } from 'vitest';
import { errorSentence, splitRequestId } from './errorSentence';

const apiError = (message: string) => Object.assign(new Error(message), { name: 'ApiError' });

describe('errorSentence', () => {
  it('begins with a capital', () => expect(errorSentence(apiError('the token is too old'))).toBe('The token is too old'));
  it('follows a lead as it is', () => expect(errorSentence(apiError('the name is wrong'), 'Sign-in failed: ')).toBe('Sign-in failed: the name is wrong'));
  it('says of a parse error only where and what', () => {
    expect(errorSentence(apiError('invalid parameter "query": 1:4: parse error: bad'))).toBe('1:4: parse error: bad');
    expect(errorSentence(apiError('invalid parameter "query": too long'))).toBe('Invalid parameter "query": too long');
  });
  it('keeps the errors of the page itself back', () => expect(errorSentence(new TypeError('x is undefined'))).toMatch(/^Something went wrong/));
});

describe('splitRequestId', () => {
  it('takes it from the end', () => expect(splitRequestId('It is gone (for good) (request id e5)')).toEqual(['It is gone (for good)', '(request id e5)']));
  it('leaves other sentences whole', () => expect(splitRequestId('It is gone (for good)')).toEqual(['It is gone (for good)', undefined]));
});
