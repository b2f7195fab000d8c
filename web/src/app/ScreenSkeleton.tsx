import Box from '@mui/material/Box';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import { VisuallyHidden } from '../components/VisuallyHidden';

/** Stands in for a screen whose code is still on its way. */
export function ScreenSkeleton() {
  return (
    <Stack spacing={2} sx={{ py: 3 }}>
      <VisuallyHidden role="status">Loading</VisuallyHidden>
      <Skeleton variant="text" width={180} height={30} />
      <Box sx={{ display: 'grid', gap: 1.5 }}>
        <Skeleton variant="rounded" height={48} />
        <Skeleton variant="rounded" height={220} />
      </Box>
    </Stack>
  );
}
