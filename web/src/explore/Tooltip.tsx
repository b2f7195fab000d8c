import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import type { CSSProperties } from 'react';
import type uPlot from 'uplot';
import { seriesColour } from './colours';
import type { Pointed } from './pointer';
import { letterOf } from './state';
import { Swatch } from './Swatch';
import { formatTime } from './time';
import { formatValue, type Unit } from './units';

interface TooltipProps {
  pointed: Pointed;
  plot: uPlot;
  unit: Unit;
  dark: boolean;
  severalQueries: boolean;
}

const gap = 16;
const narrow = 480;

/** On the side with more room; over the whole width where neither side has enough, as on a phone. */
function placeOf({ left, top }: Pointed, plot: uPlot): CSSProperties {
  const { offsetLeft, offsetTop, clientWidth, clientHeight } = plot.over;
  const atRight = left < clientWidth / 2;
  const atBottom = top < clientHeight / 2;
  const y = offsetTop + top + (atBottom ? gap : -gap);
  const vertical = atBottom ? '0' : '-100%';
  if (clientWidth < narrow) return { left: 0, right: 0, width: 'auto', top: y, transform: `translateY(${vertical})` };
  return {
    left: offsetLeft + left + (atRight ? gap : -gap),
    top: y,
    maxWidth: Math.min(Math.max(left, clientWidth - left) - gap, 520),
    transform: `translate(${atRight ? '0' : '-100%'}, ${vertical})`,
  };
}

/** The values at the pointer. It takes no clicks. */
export function Tooltip({ pointed, plot, unit, dark, severalQueries }: TooltipProps) {
  return (
    <Box
      aria-hidden
      style={placeOf(pointed, plot)}
      sx={{
        position: 'absolute',
        zIndex: 3,
        pointerEvents: 'none',
        px: 1.5,
        py: 1,
        borderRadius: 1,
        border: '1px solid',
        borderColor: 'divider',
        bgcolor: 'background.paper',
        boxShadow: '0 6px 20px rgba(0, 0, 0, 0.18)',
        width: 'max-content',
      }}
    >
      <Typography variant="caption" color="text.secondary" noWrap component="p" sx={{ fontVariantNumeric: 'tabular-nums' }}>
        {formatTime(pointed.time)}
      </Typography>
      {pointed.rows.map(({ line, value }) => (
        <Row
          key={line.index}
          name={severalQueries ? `${letterOf(line.query)} ${line.name}` : line.name}
          value={formatValue(unit, value)}
          colour={seriesColour(line.index, dark)}
          nearest={line.index === pointed.nearest}
        />
      ))}
      {pointed.more > 0 && (
        <Typography variant="caption" color="text.secondary">
          and {pointed.more} more
        </Typography>
      )}
    </Box>
  );
}

interface RowProps {
  name: string;
  value: string;
  colour: string;
  nearest: boolean;
}

function Row({ name, value, colour, nearest }: RowProps) {
  const emphasis = nearest ? { fontWeight: 650, color: 'text.primary' } : { color: 'text.secondary' };
  return (
    <Box sx={{ display: 'flex', alignItems: 'baseline', gap: 1, fontSize: 12, lineHeight: 1.6, ...emphasis }}>
      <Swatch colour={colour} />
      <Box component="span" sx={{ ...nameStyles, whiteSpace: nearest ? 'normal' : 'nowrap' }}>
        {name}
      </Box>
      <Box component="span" sx={{ fontVariantNumeric: 'tabular-nums', whiteSpace: 'nowrap', color: 'text.primary' }}>
        {value}
      </Box>
    </Box>
  );
}

const nameStyles = { flex: 1, minWidth: 0, overflow: 'hidden', textOverflow: 'ellipsis', overflowWrap: 'anywhere' };
