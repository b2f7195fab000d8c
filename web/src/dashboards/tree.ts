import type { DashboardList, DashboardSummary, FolderItem } from '../api/types';

export interface FolderNode {
  kind: 'folder';
  /** Where it stands, which no other node shares. */
  id: string;
  title: string;
  children: TreeNode[];
}

export interface DashboardNode {
  kind: 'dashboard';
  id: string;
  dashboard: DashboardSummary;
}

/** What a folder names and nobody has deployed. */
export interface MissingNode {
  kind: 'missing';
  id: string;
  name: string;
}

export type TreeNode = FolderNode | DashboardNode | MissingNode;

/** Folders deeper than this are shown flat: nobody writes them, but a program might. */
const maxDepth = 12;

/** Puts dashboards into their folders; those that are in none come after the folders. */
export function toTree({ dashboards, folders }: Pick<DashboardList, 'dashboards' | 'folders'>): TreeNode[] {
  const byName = new Map(dashboards.map((dashboard) => [dashboard.name, dashboard]));
  const placed = new Set<string>();
  const toNodes = (items: readonly FolderItem[], parent: string, depth: number): TreeNode[] =>
    items.flatMap((item, index): TreeNode[] => {
      // Nothing keeps a folder from naming the same thing twice.
      const id = `${parent}/${index}:${item.name}`;
      if (item.kind === 'Folder') {
        const children = toNodes(item.items, id, depth + 1);
        return depth < maxDepth ? [{ kind: 'folder', id, title: item.name, children }] : children;
      }
      const dashboard = byName.get(item.name);
      if (!dashboard) return [{ kind: 'missing', id, name: item.name }];
      placed.add(item.name);
      return [{ kind: 'dashboard', id, dashboard }];
    });
  const tree: TreeNode[] = folders.map(({ name, title, items }) => ({ kind: 'folder', id: name, title, children: toNodes(items, name, 1) }));
  for (const dashboard of dashboards) if (!placed.has(dashboard.name)) tree.push({ kind: 'dashboard', id: `/${dashboard.name}`, dashboard });
  return tree;
}

export interface Filter {
  search: string;
  /** Empty: every tag. */
  tag: string;
}

export function isFiltering({ search, tag }: Filter): boolean {
  return search.trim() !== '' || tag !== '';
}

/** Whether every word of the search is somewhere in the title, the name or a tag. */
export function matches(dashboard: DashboardSummary, { search, tag }: Filter): boolean {
  if (tag !== '' && !dashboard.tags.includes(tag)) return false;
  const text = [dashboard.title, dashboard.name, ...dashboard.tags].join('\n').toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** What of the tree matches, with the folders that lead there. */
export function filterTree(nodes: readonly TreeNode[], filter: Filter): TreeNode[] {
  if (!isFiltering(filter)) return [...nodes];
  return nodes.flatMap((node): TreeNode[] => {
    if (node.kind === 'missing') return [];
    if (node.kind === 'dashboard') return matches(node.dashboard, filter) ? [node] : [];
    const children = filterTree(node.children, filter);
    return children.length > 0 ? [{ ...node, children }] : [];
  });
}

/** A node as it stands in the list, which is one line after the other. */
export interface Row {
  node: TreeNode;
  /** From 1 on, as screen readers count. */
  level: number;
  position: number;
  siblings: number;
  /** The index of the row of its folder; -1: it is in none. */
  parent: number;
  isOpen: boolean;
}

/** The rows of the tree, without those in closed folders. */
export function toRows(nodes: readonly TreeNode[], closed: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (siblings: readonly TreeNode[], level: number, parent: number) =>
    siblings.forEach((node, index) => {
      const isOpen = node.kind === 'folder' && !closed.has(node.id);
      rows.push({ node, level, position: index + 1, siblings: siblings.length, parent, isOpen });
      if (node.kind === 'folder' && isOpen) add(node.children, level + 1, rows.length - 1);
    });
  add(nodes, 1, -1);
  return rows;
}

/** How many different dashboards there are in the nodes. */
export function countDashboards(nodes: readonly TreeNode[]): number {
  const names = new Set<string>();
  const look = (node: TreeNode) => {
    if (node.kind === 'dashboard') names.add(node.dashboard.name);
    if (node.kind === 'folder') node.children.forEach(look);
  };
  nodes.forEach(look);
  return names.size;
}

/** Every tag that a dashboard has, sorted. */
export function allTags(dashboards: readonly DashboardSummary[]): string[] {
  return [...new Set(dashboards.flatMap(({ tags }) => tags))].sort((a, b) => a.localeCompare(b));
}
