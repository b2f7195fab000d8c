import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';

/** Says why a list has nothing in it, and what to do. */
export function EmptyBox({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Box sx={{ px: 3, py: { xs: 5, sm: 6 }, textAlign: 'center', border: '1px dashed', borderColor: 'divider', borderRadius: 1.5, bgcolor: 'background.paper' }}>
      <Typography variant="h2" component="p">
        {title}
      </Typography>
      <Box sx={{ color: 'text.secondary', maxWidth: 680, mx: 'auto', mt: 0.5, overflowWrap: 'anywhere', typography: 'body1' }}>{children}</Box>
    </Box>
  );
}
