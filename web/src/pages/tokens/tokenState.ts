import type { Token } from '../../api/types';

const soon = 7 * 86_400_000;

/** Whether a token still opens anything. A rotated one does until its overlap is over. */
export function isLive({ state }: Token): boolean {
  return state === 'active' || state === 'rotated';
}

/** Whether somebody should think of a successor. A rotated token has one already. */
export function endsSoon({ state, expiresAt }: Token, now: number): boolean {
  return state === 'active' && Date.parse(expiresAt) - now < soon;
}

export function scopeText({ environment }: Token): string {
  return environment ?? 'Every environment';
}

const sources: Record<string, string> = { local: 'users file', oidc: 'identity provider', kubernetes: 'Kubernetes' };

/** Who made the token, and for the pointer where that name is from. What the gateway logs is "kind:name". */
export function makerOf({ createdBy }: Token): { text: string; title: string } | undefined {
  if (!createdBy) return undefined;
  if (createdBy === 'cli') return { text: 'on the command line', title: createdBy };
  const [, kind = '', name = ''] = /^(\w+):(.+)$/s.exec(createdBy) ?? [];
  if (kind === 'cli') return { text: `by ${name}, on the command line`, title: createdBy };
  return Object.hasOwn(sources, kind) ? { text: `by ${name}`, title: `${name} (${sources[kind]})` } : { text: `by ${createdBy}`, title: createdBy };
}
