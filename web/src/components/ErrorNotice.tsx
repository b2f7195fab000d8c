import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import type { ReactNode } from 'react';
import { errorSentence, splitRequestId } from './errorSentence';
import { RefreshIcon } from './icons';
import { Notice } from './Notice';

interface ErrorNoticeProps {
  error: unknown;
  onRetry?: () => void;
  /** What could not be done, in a few words. */
  title?: ReactNode;
  /** How the sentence begins, such as "Sign-in failed: ". */
  lead?: string;
}

/** Says what went wrong and what to do, where it went wrong. */
export function ErrorNotice({ error, onRetry, title, lead }: ErrorNoticeProps) {
  const [sentence, requestId] = splitRequestId(errorSentence(error, lead));
  return (
    <Notice
      severity="error"
      role="alert"
      title={title}
      action={
        onRetry && (
          <Button size="small" variant="outlined" color="inherit" startIcon={<RefreshIcon />} onClick={onRetry}>
            Try again
          </Button>
        )
      }
    >
      {sentence}{' '}
      {requestId && (
        <Box component="span" sx={{ display: 'inline-block', typography: 'caption', color: 'text.secondary' }}>
          {requestId}
        </Box>
      )}
    </Notice>
  );
}
