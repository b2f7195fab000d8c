import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import { useEffect, useState } from 'react';
import { ApiError } from '../api/client';
import { ErrorNotice } from '../components/ErrorNotice';

interface QueryErrorProps {
  error: unknown;
  onRetry: () => void;
  'data-testid': string;
}

/** The sentence of the gateway next to the query it is about. Retrying is offered where it can help, and once it can. */
export function QueryError({ error, onRetry, ...rest }: QueryErrorProps) {
  const wait = error instanceof ApiError ? (error.retryAfter ?? 0) : 0;
  const remaining = useCountdown(wait, error);
  const helps = !(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status >= 500;
  return (
    <Box {...rest} sx={{ mt: 1 }}>
      <ErrorNotice error={error} onRetry={helps && remaining === 0 ? onRetry : undefined} />
      {remaining > 0 && (
        <Typography variant="caption" color="text.secondary" component="p" sx={{ mt: 0.5 }}>
          You can try again in {remaining} s.
        </Typography>
      )}
    </Box>
  );
}

/** Seconds that are left; begins anew with each error. */
function useCountdown(seconds: number, error: unknown): number {
  const [remaining, setRemaining] = useState(seconds);
  useEffect(() => {
    setRemaining(seconds);
    if (seconds <= 0) return;
    const timer = setInterval(() => setRemaining((left) => Math.max(0, left - 1)), 1000);
    return () => clearInterval(timer);
  }, [seconds, error]);
  return remaining;
}
