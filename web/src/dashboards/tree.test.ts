import { describe, expect, it } from 'vitest';
import type { DashboardSummary } from '../api/types';
import { moveOf } from './keys';
import { allTags, countDashboards, filterTree, toRows, toTree, type TreeNode } from './tree';

function dashboard(name: string, more: Partial<DashboardSummary> = {}): DashboardSummary {
  return { name, title: name, tags: [], updatedAt: '2026-01-01T00:00:00Z', ...more };
}

/** A tree as text: what stands below what. */
function outline(nodes: readonly TreeNode[], indent = ''): string[] {
  return nodes.flatMap((node) => {
    if (node.kind === 'folder') return [`${indent}${node.title}/`, ...outline(node.children, indent + '  ')];
    return [indent + (node.kind === 'missing' ? `${node.name}?` : node.dashboard.name)];
  });
}

const list = {
  dashboards: [dashboard('alone'), dashboard('errors', { title: 'Failed Requests', tags: ['http', 'slo'] }), dashboard('traffic', { tags: ['http'] })],
  folders: [
    {
      name: 'services',
      title: 'Services',
      items: [
        { kind: 'Dashboard' as const, name: 'traffic' },
        { kind: 'Folder' as const, name: 'Deep', items: [{ kind: 'Dashboard' as const, name: 'errors' }, { kind: 'Dashboard' as const, name: 'gone', missing: true }] },
      ],
    },
  ],
};

describe('toTree', () => {
  it('nests folders, tells of what is missing, and puts the rest behind', () => {
    expect(outline(toTree(list))).toEqual(['Services/', '  traffic', '  Deep/', '    errors', '    gone?', 'alone']);
  });

  it('gives every node an id of its own, also where a folder repeats itself', () => {
    const twice = { kind: 'Dashboard' as const, name: 'alone' };
    const tree = toTree({ dashboards: [dashboard('alone')], folders: [{ name: 'f', title: 'F', items: [twice, twice] }] });
    const ids = toRows(tree, new Set()).map(({ node }) => node.id);
    expect(new Set(ids).size).toBe(3);
    expect(countDashboards(tree)).toBe(1);
  });

  it('survives folders without end', () => {
    type Folder = { kind: 'Folder'; name: string; items: (Folder | { kind: 'Dashboard'; name: string })[] };
    let item: Folder | { kind: 'Dashboard'; name: string } = { kind: 'Dashboard', name: 'alone' };
    for (let i = 0; i < 100; i += 1) item = { kind: 'Folder', name: String(i), items: [item] };
    const rows = toRows(toTree({ dashboards: [dashboard('alone')], folders: [{ name: 'f', title: 'F', items: [item] }] }), new Set());
    expect(rows.length).toBeLessThan(20);
    expect(rows.at(-1)?.node.kind).toBe('dashboard');
  });
});

describe('filterTree', () => {
  const tree = toTree(list);

  it('keeps the folders that lead to what matches', () => {
    expect(outline(filterTree(tree, { search: 'FAILED', tag: '' }))).toEqual(['Services/', '  Deep/', '    errors']);
  });

  it('searches every word in title, name and tags', () => {
    expect(outline(filterTree(tree, { search: 'requests slo', tag: '' }))).toEqual(['Services/', '  Deep/', '    errors']);
    expect(filterTree(tree, { search: 'requests nothing', tag: '' })).toEqual([]);
  });

  it('narrows to a tag, and leaves out what is missing', () => {
    expect(outline(filterTree(tree, { search: '', tag: 'http' }))).toEqual(['Services/', '  traffic', '  Deep/', '    errors']);
    expect(allTags(list.dashboards)).toEqual(['http', 'slo']);
  });

  it('leaves everything where nothing is searched for', () => {
    expect(filterTree(tree, { search: '  ', tag: '' })).toEqual(tree);
  });
});

describe('rows and keys', () => {
  const tree = toTree(list);
  const rows = toRows(tree, new Set());
  const at = (name: string) => outline(rows.map(({ node }) => ({ ...node, children: [] }) as TreeNode)).indexOf(name);

  it('count levels and places', () => {
    expect(rows.map(({ level, position, siblings }) => [level, position, siblings])).toEqual([
      [1, 1, 2],
      [2, 1, 2],
      [2, 2, 2],
      [3, 1, 2],
      [3, 2, 2],
      [1, 2, 2],
    ]);
  });

  it('leave out what is in closed folders', () => {
    expect(toRows(tree, new Set(['services'])).map(({ node }) => node.kind)).toEqual(['folder', 'dashboard']);
  });

  it('move up, down, in and out', () => {
    expect(moveOf('ArrowDown', rows, 0)).toEqual({ focus: 1 });
    expect(moveOf('ArrowUp', rows, 0)).toBeUndefined();
    expect(moveOf('ArrowRight', rows, at('Deep/'))).toEqual({ focus: at('errors') });
    expect(moveOf('ArrowLeft', rows, at('errors'))).toEqual({ focus: at('Deep/') });
    expect(moveOf('ArrowLeft', rows, at('Deep/'))).toEqual({ open: false });
    expect(moveOf('ArrowRight', toRows(tree, new Set(['services'])), 0)).toEqual({ open: true });
    expect(moveOf('ArrowRight', rows, at('errors'))).toBeUndefined();
    expect(moveOf('End', rows, 0)).toEqual({ focus: rows.length - 1 });
    expect(moveOf('a', rows, 0)).toBeUndefined();
    expect(moveOf('ArrowDown', [], 0)).toBeUndefined();
  });
});
