import Box from '@mui/material/Box';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import { seriesColour } from './colours';
import type { Line } from './lines';
import { letterOf } from './state';
import { Swatch } from './Swatch';
import { formatValue, type Unit } from './units';

interface LegendProps {
  lines: Line[];
  /** The lines that are in the chart. */
  drawn: ReadonlySet<number>;
  severalQueries: boolean;
  unit: Unit;
  dark: boolean;
  onChoose: (index: number, toggle: boolean) => void;
  onHighlight: (index: number | undefined) => void;
}

const rowHeight = 28;
const maxHeight = 8.5 * rowHeight;
const columns = { xs: 'minmax(0, 1fr) 84px', md: 'minmax(0, 1fr) 96px 96px 96px 96px' };
const wideOnly = { display: { xs: 'none', md: 'block' } };
const numeric = { textAlign: 'right', fontVariantNumeric: 'tabular-nums', whiteSpace: 'nowrap' };

/** All the lines with their numbers. Only the rows in sight exist, so thousands of them cost nothing. */
export function Legend(props: LegendProps) {
  const { lines, onChoose, onHighlight } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const [focused, setFocused] = useState(false);
  const rows = useVirtualizer({ count: lines.length, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 6 });
  const current = Math.min(active, lines.length - 1);

  useEffect(() => onHighlight(focused ? current : undefined), [focused, current, onHighlight]);

  const go = (index: number) => {
    const next = Math.max(0, Math.min(lines.length - 1, index));
    setActive(next);
    rows.scrollToIndex(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const target = targetOf(event.key, current, lines.length);
    if (target !== undefined) go(target);
    else if (event.key === 'Enter' || event.key === ' ') onChoose(current, event.key === ' ' || event.ctrlKey || event.metaKey);
    else return;
    event.preventDefault();
  };

  return (
    <Box>
      <LegendHead />
      <Box
        ref={scroller}
        role="listbox"
        tabIndex={0}
        aria-label="Series. Enter shows one alone, Space adds or removes it."
        aria-multiselectable
        aria-activedescendant={`explore-line-${current}`}
        data-testid="explore-legend"
        onKeyDown={onKeyDown}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
        onMouseLeave={() => onHighlight(undefined)}
        sx={{ maxHeight, overflowY: 'auto', borderRadius: 1 }}
      >
        <Box role="presentation" sx={{ position: 'relative' }} style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map(({ index, start }) => (
            <LegendRow
              key={index}
              {...props}
              line={lines[index]!}
              top={start}
              active={focused && index === current}
              onPick={(toggle) => {
                setActive(index);
                onChoose(index, toggle);
              }}
            />
          ))}
        </Box>
      </Box>
    </Box>
  );
}

function targetOf(key: string, current: number, total: number): number | undefined {
  const page = 8;
  const targets: Record<string, number> = {
    ArrowDown: current + 1,
    ArrowUp: current - 1,
    PageDown: current + page,
    PageUp: current - page,
    Home: 0,
    End: total - 1,
  };
  return targets[key];
}

function LegendHead() {
  return (
    <Box aria-hidden sx={{ display: 'grid', gridTemplateColumns: columns, columnGap: 1, px: 1, pb: 0.25, fontSize: 12, color: 'text.secondary' }}>
      <span>Series</span>
      <Box sx={numeric}>Last</Box>
      {['Min', 'Max', 'Mean'].map((title) => (
        <Box key={title} sx={{ ...numeric, ...wideOnly }}>
          {title}
        </Box>
      ))}
    </Box>
  );
}

interface LegendRowProps extends LegendProps {
  line: Line;
  top: number;
  active: boolean;
  onPick: (toggle: boolean) => void;
}

function LegendRow({ line, drawn, severalQueries, unit, dark, top, active, onPick, onHighlight }: LegendRowProps) {
  const shown = drawn.has(line.index);
  const { last, min, max, mean } = line.stats;
  return (
    <Box
      role="option"
      id={`explore-line-${line.index}`}
      aria-selected={shown}
      data-testid={`explore-legend-item-${line.index}`}
      onClick={(event) => onPick(event.ctrlKey || event.metaKey)}
      onMouseEnter={() => onHighlight(line.index)}
      title={line.fullName}
      style={{ height: rowHeight, transform: `translateY(${top}px)` }}
      sx={{
        position: 'absolute',
        insetInline: 0,
        top: 0,
        display: 'grid',
        gridTemplateColumns: columns,
        columnGap: 1,
        alignItems: 'center',
        px: 1,
        borderRadius: 0.75,
        fontSize: 12.5,
        cursor: 'pointer',
        color: shown ? 'text.primary' : 'text.secondary',
        bgcolor: active ? 'action.selected' : undefined,
        '&:hover': { bgcolor: active ? 'action.selected' : 'action.hover' },
      }}
    >
      <Box sx={{ display: 'flex', alignItems: 'center', gap: 1, minWidth: 0 }}>
        <Swatch colour={seriesColour(line.index, dark)} hollow={!shown} />
        {severalQueries && <Box sx={{ color: 'text.secondary', fontWeight: 650 }}>{letterOf(line.query)}</Box>}
        <Box sx={{ overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }}>{line.name}</Box>
      </Box>
      <Box sx={numeric}>{formatValue(unit, last)}</Box>
      {[min, max, mean].map((value, at) => (
        <Box key={at} sx={{ ...numeric, ...wideOnly }}>
          {formatValue(unit, value)}
        </Box>
      ))}
    </Box>
  );
}
