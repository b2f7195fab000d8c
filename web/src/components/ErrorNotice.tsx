import Button from '@mui/material/Button';
import type { ReactNode } from 'react';
import { errorSentence } from './errorSentence';
import { RefreshIcon } from './icons';
import { Notice } from './Notice';

interface ErrorNoticeProps {
  error: unknown;
  onRetry?: () => void;
  /** What could not be done, in a few words. */
  title?: ReactNode;
}

/** Says what went wrong and what to do, where it went wrong. */
export function ErrorNotice({ error, onRetry, title }: ErrorNoticeProps) {
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
      {errorSentence(error)}
    </Notice>
  );
}
