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
