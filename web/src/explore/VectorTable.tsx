import Box from '@mui/material/Box';
import ButtonBase from '@mui/material/ButtonBase';
import useMediaQuery from '@mui/material/useMediaQuery';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef, useState } from 'react';
import { CommonLabels } from './CommonLabels';
import { HistogramBars } from './HistogramBars';
import { SortDownIcon, SortUpIcon } from './icons';
import type { InstantResult, InstantSeries, Sample } from './result';
import { columnWidths, nextSort, sortRows, tableOf, valueColumn, type Sort } from './tableModel';

const rowHeight = 34;
const histogramHeight = 56;
const cell = { px: 1, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' };
/** The value stays in sight however many labels there are; on a phone, where it would cover them, it comes first. */
const valueCell = {
  ...cell,
  order: { xs: -1, sm: 0 },
  position: { xs: 'static', sm: 'sticky' },
  right: 0,
  bgcolor: { sm: 'background.paper' },
  textAlign: 'right',
  fontVariantNumeric: 'tabular-nums',
};
const paper = 'var(--mui-palette-background-paper)';
const shade = 'rgba(var(--mui-palette-text-primaryChannel) / 0.15)';
/** A shadow at each side to which there is more: what scrolls along covers it at the end. */
const scrollShadows = {
  backgroundImage: `linear-gradient(to right, ${paper} 40%, transparent), linear-gradient(to left, ${paper} 40%, transparent), linear-gradient(to right, ${shade}, transparent), linear-gradient(to left, ${shade}, transparent)`,
  backgroundPosition: 'left, right, left, right',
  backgroundSize: '36px 100%, 36px 100%, 12px 100%, 12px 100%',
  backgroundAttachment: 'local, local, scroll, scroll',
  backgroundRepeat: 'no-repeat',
};

/** An instant vector: a column for each label in which the series differ, and the value as the server wrote it. */
export function VectorTable({ result, label }: { result: InstantResult; label: string }) {
  const model = useMemo(() => tableOf(result), [result]);
  const [sort, setSort] = useState<Sort>();
  const rows = useMemo(() => sortRows(model.rows, sort), [model, sort]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => (rows[index]?.samples[0]?.histogram ? histogramHeight : rowHeight),
    overscan: 8,
  });
  const valueFirst = useMediaQuery('(max-width: 599.95px)');
  const { template, minWidth } = useMemo(() => layoutOf(model, valueFirst), [model, valueFirst]);
  const columns = [...model.columns, valueColumn];
  return (
    <Box>
      <CommonLabels common={model.common} />
      <Box ref={scroller} tabIndex={0} role="region" aria-label={label} sx={{ maxHeight: '60vh', overflow: 'auto', borderRadius: 1, ...scrollShadows }}>
        <Box role="table" aria-label={label} aria-rowcount={rows.length + 1} sx={{ fontSize: 13 }} style={{ minWidth }}>
          <Box role="rowgroup" sx={{ position: 'sticky', top: 0, zIndex: 2, bgcolor: 'background.paper' }}>
            <Box role="row" aria-rowindex={1} sx={{ ...headRow, gridTemplateColumns: template }}>
              {columns.map((column) => (
                <HeadCell key={column} column={column} sort={sort} onSort={() => setSort(nextSort(sort, column))} />
              ))}
            </Box>
          </Box>
          <Box role="rowgroup" sx={{ position: 'relative' }} style={{ height: virtual.getTotalSize() }}>
            {virtual.getVirtualItems().map(({ index, start, size }) => (
              <Row key={index} row={rows[index]!} index={index} columns={model.columns} template={template} top={start} height={size} />
            ))}
          </Box>
        </Box>
      </Box>
    </Box>
  );
}

const headButton = { px: 1, py: 0.75, gap: 0.25, width: '100%', justifyContent: 'flex-start', font: 'inherit', fontWeight: 600, color: 'text.secondary' };
const headRow = { display: 'grid', borderBottom: '1px solid', borderColor: 'divider', fontSize: 12 };

/** The columns share the width by the length of what stands in them, but none becomes narrower than that. */
function layoutOf(model: ReturnType<typeof tableOf>, valueFirst: boolean) {
  const values = model.rows.slice(0, 500).map(({ samples }) => (samples[0]?.histogram ? 46 : (samples[0]?.value.length ?? 0)));
  const value = Math.max(8, ...values) + 2;
  const widths = valueFirst ? [value, ...columnWidths(model)] : [...columnWidths(model), value];
  const total = widths.reduce((sum, width) => sum + width, 0);
  return { template: widths.map((width) => `minmax(0, ${width}fr)`).join(' '), minWidth: `${total}ch` };
}

function HeadCell({ column, sort, onSort }: { column: string; sort: Sort | undefined; onSort: () => void }) {
  const sorted = sort?.column === column ? sort : undefined;
  const Icon = sorted?.descending ? SortDownIcon : SortUpIcon;
  const isValue = column === valueColumn;
  return (
    <Box role="columnheader" aria-sort={sorted ? (sorted.descending ? 'descending' : 'ascending') : 'none'} sx={{ ...(isValue ? valueCell : cell), p: 0 }}>
      <ButtonBase
        onClick={onSort}
        sx={{ ...headButton, flexDirection: isValue ? 'row-reverse' : 'row' }}
      >
        {isValue ? 'Value' : column === '__name__' ? 'Metric' : column}
        <Icon sx={{ fontSize: 14, visibility: sorted ? 'visible' : 'hidden' }} />
      </ButtonBase>
    </Box>
  );
}

interface RowProps {
  row: InstantSeries;
  index: number;
  columns: string[];
  template: string;
  top: number;
  height: number;
}

function Row({ row, index, columns, template, top, height }: RowProps) {
  return (
    <Box
      role="row"
      aria-rowindex={index + 2}
      style={{ height, transform: `translateY(${top}px)`, gridTemplateColumns: template }}
      sx={{ position: 'absolute', insetInline: 0, top: 0, display: 'grid', alignItems: 'center', borderBottom: '1px solid', borderColor: 'divider' }}
    >
      {columns.map((name) => (
        <Box key={name} role="cell" title={row.labels[name]} sx={cell}>
          {row.labels[name] ?? ''}
        </Box>
      ))}
      <Box role="cell" sx={valueCell}>
        {row.samples[0] && <Value sample={row.samples[0]} />}
      </Box>
    </Box>
  );
}

export function Value({ sample }: { sample: Sample }) {
  if (!sample.histogram) return <>{sample.value}</>;
  const { count, sum } = sample.histogram;
  return (
    <Box sx={{ display: 'flex', alignItems: 'center', justifyContent: 'flex-end', gap: 1.5, lineHeight: 1.35 }}>
      <Box sx={{ minWidth: 0, overflow: 'hidden', textOverflow: 'ellipsis' }}>
        <div>count {count}</div>
        <Box sx={{ color: 'text.secondary' }}>sum {sum}</Box>
      </Box>
      <HistogramBars histogram={sample.histogram} width={150} height={36} />
    </Box>
  );
}
