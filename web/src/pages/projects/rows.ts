import type { Environment } from '../../api/types';

export type Row =
  | { kind: 'project'; key: string; project: string; count: number; isComplete: boolean }
  | { kind: 'environment'; key: string; environment: Environment; isFirst: boolean; isLast: boolean };

/**
 * Lays out environments below their projects, for a list that shows only the rows in sight. The gateway sorts by
 * project, so while more pages follow, only the last project may still grow.
 */
export function toRows(environments: readonly Environment[], hasMore: boolean): Row[] {
  const groups = new Map<string, Environment[]>();
  for (const environment of environments) {
    const group = groups.get(environment.project);
    if (group) group.push(environment);
    else groups.set(environment.project, [environment]);
  }
  const last = [...groups.keys()].pop();
  const rows: Row[] = [];
  for (const [project, members] of groups) {
    rows.push({ kind: 'project', key: project, project, count: members.length, isComplete: !(hasMore && project === last) });
    members.forEach((environment, index) =>
      rows.push({
        kind: 'environment',
        key: `${project}/${environment.name}`,
        environment,
        isFirst: index === 0,
        isLast: index === members.length - 1,
      }),
    );
  }
  return rows;
}
