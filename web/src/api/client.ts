import type { ErrorBody } from './types';

/** The page's own address, with a slash at its end. The server writes it into the document. */
export const pageBase = new URL(document.baseURI);

/** The gateway's address: the page stands at ui/ below it. */
export const gatewayBase = new URL('..', pageBase);

/** An answer that is an error, with the sentence that says what to do. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
    /** In seconds, where the server says that waiting helps. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** What makes a request one of the page: other sites cannot send it. */
export const pageHeader = { 'X-Promgate-Page': '1' } as const;

/**
 * Fetches from the gateway with the session, and throws an ApiError for whatever is no success; 304 is one, for whoever
 * asked with If-None-Match.
 */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, gatewayBase), {
      ...init,
      credentials: 'same-origin',
      redirect: 'error',
      cache: 'no-store',
      headers: { ...pageHeader, ...init.headers },
    });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new ApiError(0, 'network', 'The gateway cannot be reached: check your connection, then try again.');
  }
  if (!response.ok && response.status !== 304) throw await asError(response);
  return response;
}

async function asError(response: Response): Promise<ApiError> {
  const after = Number(response.headers.get('Retry-After')) || undefined;
  const text = await response.text();
  try {
    const body = JSON.parse(text) as Partial<ErrorBody>;
    if (typeof body.error === 'string') {
      return new ApiError(response.status, body.errorType ?? 'unknown', body.error, after);
    }
  } catch {
    // It is no answer of the gateway: something in front of it.
  }
  return new ApiError(response.status, 'unknown', `The gateway answered with status ${response.status}. Try again in a moment.`, after);
}

/** Calls the gateway's own API: path is relative to api/v1/. */
export async function call<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const response = await request('api/v1/' + path, {
    method,
    signal,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  });
  return (await response.json()) as T;
}

/** The path of an environment's Prometheus API, relative to the gateway. */
export function environmentPath(project: string, environment: string): string {
  return `projects/${encodeURIComponent(project)}/environments/${encodeURIComponent(environment)}/`;
}
