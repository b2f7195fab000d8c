import Box from '@mui/material/Box';
import Skeleton from '@mui/material/Skeleton';
import { useWindowVirtualizer, type VirtualItem } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { Environment } from '../../api/types';
import { VisuallyHidden } from '../../components/VisuallyHidden';
import { EnvironmentRow } from './EnvironmentRow';
import { ProjectRow } from './ProjectRow';
import type { Row } from './rows';

const rowHeight = { project: 51, environment: 53 };

/** How high the rows were when the list was last left: so the browser's back button finds the place again. */
let lastHeights: VirtualItem[] = [];

interface EnvironmentListProps {
  rows: Row[];
  /** Whether more of them are on their way. */
  isGrowing: boolean;
  onVisible: (environments: Environment[]) => void;
  /** The person has come close to the end. */
  onEnd: () => void;
}

/** Holds only the rows in sight, so a thousand environments scroll as smoothly as ten. */
export function EnvironmentList({ rows, isGrowing, onVisible, onEnd }: EnvironmentListProps) {
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(list.current?.offsetTop ?? 0), []);

  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: (index) => rowHeight[rows[index]!.kind],
    getItemKey: (index) => rows[index]!.key,
    scrollMargin: top,
    overscan: 12,
    initialMeasurementsCache: lastHeights,
  });
  useEffect(() => () => void (lastHeights = virtualizer.takeSnapshot()), [virtualizer]);
  const items = virtualizer.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items[items.length - 1]?.index ?? 0;

  useEffect(() => {
    onVisible(rows.slice(first, last + 1).flatMap((row) => (row.kind === 'environment' ? [row.environment] : [])));
    if (last >= rows.length - 40) onEnd();
  }, [rows, first, last, onVisible, onEnd]);

  return (
    <>
      <Box ref={list} role="list" aria-label="Environments by project" sx={{ position: 'relative' }} style={{ height: virtualizer.getTotalSize() }}>
        {items.map((item) => (
          <Box
            key={item.key}
            ref={virtualizer.measureElement}
            data-index={item.index}
            role="listitem"
            aria-setsize={isGrowing ? -1 : rows.length}
            aria-posinset={item.index + 1}
            sx={{ position: 'absolute', top: 0, left: 0, right: 0 }}
            style={{ transform: `translateY(${item.start - top}px)` }}
          >
            <ListRow row={rows[item.index]!} isFirst={item.index === 0} />
          </Box>
        ))}
      </Box>
      {isGrowing && <VisuallyHidden role="status">Loading more environments</VisuallyHidden>}
    </>
  );
}

function ListRow({ row, isFirst }: { row: Row; isFirst: boolean }) {
  if (row.kind === 'project') return <ProjectRow project={row.project} count={row.count} isComplete={row.isComplete} isFirst={isFirst} />;
  return <EnvironmentRow environment={row.environment} isFirst={row.isFirst} isLast={row.isLast} />;
}

export function EnvironmentListSkeleton() {
  return (
    <Box aria-busy="true">
      <VisuallyHidden role="status">Loading your environments</VisuallyHidden>
      {[5, 3].map((count, index) => (
        <Box key={index}>
          <Skeleton variant="text" width={140} height={24} sx={{ mt: index === 0 ? 0.5 : 2.5, mb: 0.5 }} />
          <Box sx={{ border: '1px solid', borderColor: 'divider', borderRadius: 1.25, bgcolor: 'background.paper' }}>
            {Array.from({ length: count }, (_, row) => (
              <Box key={row} sx={{ height: rowHeight.environment, display: 'flex', alignItems: 'center', px: 2, borderTop: row > 0 ? '1px solid' : 0, borderColor: 'divider' }}>
                <Skeleton variant="text" width={`${30 + ((row * 13) % 25)}%`} />
              </Box>
            ))}
          </Box>
        </Box>
      ))}
    </Box>
  );
}
