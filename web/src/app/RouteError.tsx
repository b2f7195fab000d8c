import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import { Notice } from '../components/Notice';

/** A screen that broke, or whose code is gone because the gateway was updated meanwhile: a fresh page helps in both cases. */
export function RouteError() {
  return (
    <Box sx={{ py: 2, maxWidth: 720 }}>
      <Notice
        severity="error"
        role="alert"
        title="This screen could not be shown"
        action={
          <Button size="small" variant="outlined" color="inherit" onClick={() => window.location.reload()}>
            Load the page again
          </Button>
        }
      >
        The gateway may have been updated, or the connection was lost. Load the page again.
      </Notice>
    </Box>
  );
}
