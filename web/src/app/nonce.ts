/**
 * What the page's policy wants to see on every style element that a script makes. Code editors need it too. Empty
 * where no server wrote it, as in development.
 */
export const cspNonce: string | undefined = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content || undefined;
