/** What the sign-in screen is told. It travels in the history's state, so no address ever holds it. */
export interface SignInState {
  /** Where the person was: a path of the router, with its query. */
  from?: string;
  /** Whether a session ended while the page was in use. */
  ended?: boolean;
}

export function readSignInState(state: unknown): SignInState {
  if (typeof state !== 'object' || state === null) return {};
  const { from, ended } = state as Record<string, unknown>;
  const isPath = typeof from === 'string' && from.startsWith('/') && !from.startsWith('//');
  return { from: isPath ? from : undefined, ended: ended === true };
}

/** The same place as the gateway wants it: relative to ui/. A fragment never reaches a server and is left out. */
export function returnToOf(from: string | undefined): string {
  return (from ?? '/').replace(/^\/+/, '').replace(/#.*$/, '');
}

const sentences: Record<string, string> = {
  expired: 'The sign-in took too long or was started in another window. Try again.',
  refused: 'Your provider refused the sign-in, or you cancelled it. Try again.',
  unavailable: 'Your provider cannot be reached right now. Try again in a moment.',
  notAllowed: 'This account may not use promgate. Sign in with another one, or ask your platform team.',
};

/** What the code means that the gateway put into the address after a sign-in that did not work. */
export function signInErrorSentence(code: string | null): string | undefined {
  if (!code) return undefined;
  return Object.hasOwn(sentences, code) ? sentences[code] : 'The sign-in did not work. Try again.';
}
