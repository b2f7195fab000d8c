import Box from '@mui/material/Box';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { moveOf } from './keys';
import { rowId, TreeRow } from './TreeRow';
import { toRows, type Row, type TreeNode } from './tree';

const rowHeight = 45;

interface DashboardTreeProps {
  project: string;
  nodes: readonly TreeNode[];
  /** Whether every folder is open, as what was searched for is in there. */
  isAllOpen: boolean;
}

/** Folders and dashboards, as a tree for the keyboard and for screen readers. Only the rows in sight are there. */
export function DashboardTree({ project, nodes, isAllOpen }: DashboardTreeProps) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => toRows(nodes, isAllOpen ? new Set() : closed), [nodes, closed, isAllOpen]);
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(list.current?.offsetTop ?? 0), [nodes]);
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => rowHeight,
    getItemKey: (index) => rows[index]!.node.id,
    scrollMargin: top,
    overscan: 12,
    // The search box stays above the list.
    scrollPaddingStart: 72,
  });
  const { current, setCurrent, focus } = useRovingFocus(rows, virtualizer.scrollToIndex);

  const toggle = (row: Row, isOpen: boolean) => {
    setClosed((now) => {
      const next = new Set(now);
      if (isOpen) next.delete(row.node.id);
      else next.add(row.node.id);
      return next;
    });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = moveOf(event.key, rows, current);
    if (!move) return;
    event.preventDefault();
    if ('focus' in move) focus(move.focus);
    else toggle(rows[current]!, move.open);
  };
  const items = virtualizer.getVirtualItems();
  // One row takes the Tab key, and it has to be one that is there.
  const isCurrentThere = items.some(({ index }) => index === current);

  return (
    <Box
      ref={list}
      role="tree"
      aria-label={`Dashboards of ${project}`}
      data-testid="dashboard-tree"
      onKeyDown={onKeyDown}
      sx={{ position: 'relative', border: '1px solid', borderColor: 'divider', borderRadius: 1.25, bgcolor: 'background.paper', overflow: 'clip' }}
      style={{ height: virtualizer.getTotalSize() + 2 }}
    >
      {items.map((item, at) => (
        <TreeRow
          key={item.key}
          project={project}
          row={rows[item.index]!}
          index={item.index}
          measure={virtualizer.measureElement}
          isTabStop={isCurrentThere ? item.index === current : at === 0}
          offset={item.start - top}
          onFocus={() => setCurrent(item.index)}
          onToggle={() => toggle(rows[item.index]!, !rows[item.index]!.isOpen)}
        />
      ))}
    </Box>
  );
}

/** Which row has the focus, and how another gets it, also one that is out of sight. */
function useRovingFocus(rows: readonly Row[], scrollToIndex: (index: number) => void) {
  const [currentId, setCurrentId] = useState<string>();
  const wanted = useRef<string>();
  const index = rows.findIndex(({ node }) => node.id === currentId);
  const current = Math.max(0, index);
  useEffect(() => {
    const element = wanted.current === undefined ? null : document.getElementById(rowId(wanted.current));
    if (!element) return;
    wanted.current = undefined;
    element.focus({ preventScroll: true });
  });
  const setCurrent = (at: number) => setCurrentId(rows[at]?.node.id);
  const focus = (at: number) => {
    wanted.current = rows[at]?.node.id;
    scrollToIndex(at);
    setCurrent(at);
  };
  return { current, setCurrent, focus };
}
