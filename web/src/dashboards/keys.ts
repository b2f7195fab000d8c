import type { Row } from './tree';

/** What a key does in the tree: another row gets the focus, or a folder opens or closes. */
export type Move = { focus: number } | { open: boolean } | undefined;

/** The keys of a tree, as every tree has them; Enter and the space bar are the row's own. */
export function moveOf(key: string, rows: readonly Row[], at: number): Move {
  const row = rows[at];
  if (!row) return undefined;
  const to = (index: number): Move => (index >= 0 && index < rows.length ? { focus: index } : undefined);
  const isFolder = row.node.kind === 'folder';
  switch (key) {
    case 'ArrowDown':
      return to(at + 1);
    case 'ArrowUp':
      return to(at - 1);
    case 'Home':
      return to(0);
    case 'End':
      return to(rows.length - 1);
    case 'ArrowRight':
      if (!isFolder) return undefined;
      if (!row.isOpen) return { open: true };
      return rows[at + 1]?.parent === at ? to(at + 1) : undefined;
    case 'ArrowLeft':
      return isFolder && row.isOpen ? { open: false } : to(row.parent);
    default:
      return undefined;
  }
}
