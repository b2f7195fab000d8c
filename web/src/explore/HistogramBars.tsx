import Box from '@mui/material/Box';
import { barsOf, shortBound } from './histogram';
import type { Histogram } from './result';

/** A native histogram's buckets, side by side; how wide they are in truth is in their titles. */
export function HistogramBars({ histogram, width, height }: { histogram: Histogram; width: number | '100%'; height: number }) {
  const bars = barsOf(histogram);
  const last = histogram.buckets[histogram.buckets.length - 1];
  const label = last
    ? `${bars.length} buckets from ${shortBound(histogram.buckets[0]!.left)} to ${shortBound(last.right)}`
    : 'No bucket has an observation';
  return (
    <Box
      component="svg"
      role="img"
      aria-label={label}
      viewBox={`0 0 ${Math.max(1, bars.length)} 1`}
      preserveAspectRatio="none"
      width={width}
      height={height}
      sx={{ display: 'block', color: 'primary.main', flexShrink: 0, borderBottom: '1px solid', borderColor: 'divider' }}
    >
      {bars.map(({ bounds, count, height: part }, index) => (
        <rect key={index} x={index + 0.06} width={0.88} y={1 - part} height={part} fill="currentColor">
          <title>{`${bounds}: ${count}`}</title>
        </rect>
      ))}
    </Box>
  );
}
