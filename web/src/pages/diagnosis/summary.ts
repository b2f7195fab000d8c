import type { Hop } from '../../api/types';

const titles: Record<string, string> = {
  'api server': 'API server',
  credentials: 'Credentials',
  rbac: 'RBAC',
  service: 'Service',
  endpoints: 'Endpoints',
  connection: 'Connection',
  prometheus: 'Prometheus',
  token: 'Token',
};

/** A hop's name as a person writes it. */
export function hopTitle(name: string): string {
  return Object.hasOwn(titles, name) ? titles[name]! : name.charAt(0).toUpperCase() + name.slice(1);
}

/** Whether the gateway kept the details back: it shows them to maintainers alone. */
export function isWithheld(hop: Hop): boolean {
  return !hop.found && !hop.cause;
}

export interface Summary {
  isGood: boolean;
  text: string;
}

/** One sentence for all hops. The failed one itself says why. */
export function summarize(hops: readonly Hop[]): Summary {
  const failed = hops.find(({ status }) => status === 'failed');
  if (!failed) return { isGood: true, text: hops.some(({ status }) => status === 'skipped') ? 'Everything that was checked works' : 'Everything works' };
  const detail = isWithheld(failed) ? 'Ask a maintainer for the details.' : 'the hop below says why.';
  return { isGood: false, text: `Stops at ${hopTitle(failed.name)}: ${detail}` };
}
