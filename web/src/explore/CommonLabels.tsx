import Box from '@mui/material/Box';
import { formatLabels, type Label } from './labels';

/** The labels that all the series have in common, once instead of in every row. */
export function CommonLabels({ common }: { common: Label[] }) {
  if (common.length === 0) return null;
  return (
    <Box sx={{ px: 1, py: 0.5, fontSize: 12.5, color: 'text.secondary', overflowWrap: 'anywhere' }}>
      All have{' '}
      <Box component="span" sx={{ color: 'text.primary' }}>
        {formatLabels(Object.fromEntries(common))}
      </Box>
    </Box>
  );
}
