import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import { HistogramBars } from './HistogramBars';
import { shortBound } from './histogram';
import type { Line } from './lines';
import type { Histogram } from './result';
import { formatTime } from './time';

const most = 12;

/** The last native histogram of each line that has one. The chart above draws how many observations they had. */
export function HistogramPanel({ lines }: { lines: Line[] }) {
  const having = lines.filter((line) => line.histogram);
  if (having.length === 0) return null;
  return (
    <Box component="section" aria-label="Histograms" sx={{ mt: 2 }}>
      <Typography variant="h3" component="h2">
        Histograms
      </Typography>
      <Typography variant="body2" color="text.secondary" sx={{ mb: 1.5 }}>
        These are native histograms. The chart shows their count; here are the buckets of the last one of each series.
        {having.length > most && ` The first ${most} of ${having.length} are shown: choose series in the legend to see others.`}
      </Typography>
      <Box sx={{ display: 'grid', gap: 2, gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 300px), 1fr))' }}>
        {having.slice(0, most).map(({ index, name, histogram }) => (
          <Box key={index} sx={{ minWidth: 0, p: 1.5, border: '1px solid', borderColor: 'divider', borderRadius: 1 }}>
            <Typography variant="body2" noWrap title={name} sx={{ fontWeight: 600 }}>
              {name}
            </Typography>
            <Numbers histogram={histogram!.histogram} time={histogram!.time} />
            <HistogramBars histogram={histogram!.histogram} width="100%" height={90} />
            <Bounds histogram={histogram!.histogram} />
          </Box>
        ))}
      </Box>
    </Box>
  );
}

function Numbers({ histogram, time }: { histogram: Histogram; time: number }) {
  return (
    <Typography variant="caption" color="text.secondary" component="p" sx={{ mb: 1, overflowWrap: 'anywhere' }}>
      count {histogram.count}, sum {histogram.sum}, at {formatTime(time)}
    </Typography>
  );
}

function Bounds({ histogram: { buckets } }: { histogram: Histogram }) {
  const last = buckets[buckets.length - 1];
  if (!last) return null;
  return (
    <Box aria-hidden sx={{ display: 'flex', justifyContent: 'space-between', fontSize: 11, color: 'text.secondary', pt: 0.5 }}>
      <span>{shortBound(buckets[0]!.left)}</span>
      <span>{shortBound(last.right)}</span>
    </Box>
  );
}
