import Box from '@mui/material/Box';
import type { ReactNode } from 'react';
import { monospace } from '../theme';

interface CodeBlockProps {
  /** What it is, for screen readers. */
  label: string;
  children: ReactNode;
  'data-testid'?: string;
}

/** Text as it has to be typed or applied. It scrolls by itself, so the keyboard has to reach it. */
export function CodeBlock({ label, children, ...rest }: CodeBlockProps) {
  return (
    <Box
      component="pre"
      role="region"
      aria-label={label}
      tabIndex={0}
      data-testid={rest['data-testid']}
      sx={{
        m: 0,
        px: 1.75,
        py: 1.5,
        maxHeight: 640,
        overflow: 'auto',
        borderRadius: 1,
        border: '1px solid',
        borderColor: 'divider',
        bgcolor: 'background.default',
        fontFamily: monospace,
        fontSize: '0.8125rem',
        lineHeight: 1.6,
        whiteSpace: 'pre',
        tabSize: 2,
      }}
    >
      {children}
    </Box>
  );
}
