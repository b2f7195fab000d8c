import { sentenceCase } from './sentenceCase';

const inQuery = /^invalid parameter "query": (?=\d+:\d+: parse error)/;

/** The sentence of an error, for the person who reads it. The gateway's own errors are such sentences but for the capital. */
export function errorSentence(error: unknown, lead = ''): string {
  const fallback = 'Something went wrong on this page. Try again.';
  if (!(error instanceof Error)) return fallback;
  return error.name === 'ApiError' && error.message ? sentenceCase(lead + error.message.replace(inQuery, '')) : fallback;
}

/** The sentence, and behind it what only an administrator needs: "(request id …)". */
export function splitRequestId(sentence: string): [string, string | undefined] {
  const match = /^(.*) (\(request id [^()]+\))$/s.exec(sentence);
  return match ? [match[1]!, match[2]] : [sentence, undefined];
}
