/** The sentence of an error, for the person who reads it. The gateway's own errors already are such sentences. */
export function errorSentence(error: unknown): string {
  const fallback = 'Something went wrong on this page. Try again.';
  if (!(error instanceof Error)) return fallback;
  return error.name === 'ApiError' && error.message ? error.message : fallback;
}
