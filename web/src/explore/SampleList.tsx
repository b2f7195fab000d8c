import Box from '@mui/material/Box';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef } from 'react';
import { formatLabels } from './labels';
import type { InstantResult } from './result';
import { listOf, type ListEntry } from './tableModel';
import { formatTime } from './time';
import { formatCount } from './units';
import { Value } from './VectorTable';

const seriesHeight = 36;
const sampleHeight = 26;
const histogramHeight = 52;

function heightOf(entry: ListEntry): number {
  if (entry.kind === 'series') return seriesHeight;
  return entry.sample.histogram ? histogramHeight : sampleHeight;
}

/** A range vector: for each series its samples, as value @ time. */
export function SampleList({ result, expr, label }: { result: InstantResult; expr: string; label: string }) {
  const entries = useMemo(() => listOf(result), [result]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => heightOf(entries[index]!),
    overscan: 12,
  });
  return (
    <Box ref={scroller} role="region" tabIndex={0} aria-label={label} sx={{ maxHeight: '60vh', overflow: 'auto' }}>
      <Box role="list" sx={{ position: 'relative', minWidth: 'max-content' }} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start, size }) => (
          <Box
            key={index}
            role="listitem"
            style={{ height: size, transform: `translateY(${start}px)` }}
            sx={{ position: 'absolute', insetInline: 0, top: 0, px: 1, display: 'flex', alignItems: 'center', fontSize: 13, whiteSpace: 'nowrap' }}
          >
            <Entry entry={entries[index]!} expr={expr} />
          </Box>
        ))}
      </Box>
    </Box>
  );
}

function Entry({ entry, expr }: { entry: ListEntry; expr: string }) {
  if (entry.kind === 'series') {
    return (
      <>
        <Box sx={{ fontWeight: 600 }}>{formatLabels(entry.series.labels) || expr}</Box>
        <Box sx={{ ml: 1.5, color: 'text.secondary', fontSize: 12 }}>{formatCount(entry.series.samples.length)} samples</Box>
      </>
    );
  }
  return (
    <Box sx={{ pl: 2, display: 'flex', alignItems: 'center', gap: 1, fontVariantNumeric: 'tabular-nums' }}>
      <Value sample={entry.sample} />
      <Box sx={{ color: 'text.secondary' }}>@ {formatTime(entry.sample.time)}</Box>
    </Box>
  );
}
