import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';

/** The query is right, but nothing came back. */
export function NoSeries({ graph }: { graph: boolean }) {
  return (
    <Box sx={{ py: 6, px: 2, textAlign: 'center' }}>
      <Typography sx={{ fontWeight: 600 }}>{graph ? 'No series in this range' : 'No series at this time'}</Typography>
      <Typography variant="body2" color="text.secondary" sx={{ mt: 0.5 }}>
        {graph
          ? 'Look at a longer or an earlier range, or check the label matchers and metric names.'
          : 'Look at another time, or check the label matchers and metric names.'}
      </Typography>
    </Box>
  );
}
