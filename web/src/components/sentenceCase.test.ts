import { expect, it } from 'vitest';
import { sentenceCase } from './sentenceCase';

it.each([
  ['no Role grants it', 'No Role grants it'],
  ['a query: none', 'A query: none'],
  ['Prometheus 3.15.0', 'Prometheus 3.15.0'],
  ['system:serviceaccount:a:b may not get pods', 'system:serviceaccount:a:b may not get pods'],
  ['http://127.0.0.1:9090 answers', 'http://127.0.0.1:9090 answers'],
  ['1:17: parse error', '1:17: parse error'],
  ['', ''],
])('%j becomes %j', (text, expected) => expect(sentenceCase(text)).toBe(expected));
