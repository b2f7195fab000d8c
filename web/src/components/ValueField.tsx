import Box from '@mui/material/Box';
import { monospace } from '../theme';
import { CopyButton } from './CopyButton';

interface ValueFieldProps {
  value: string;
  /** What it is, such as "the address". */
  what: string;
  'data-testid'?: string;
}

/** A value to take along: shown in full, selected at one click, with a copy button. */
export function ValueField({ value, what, ...rest }: ValueFieldProps) {
  return (
    <Box
      sx={{
        display: 'flex',
        alignItems: 'center',
        gap: 1,
        p: 0.75,
        pl: 1.5,
        borderRadius: 1,
        border: '1px solid',
        borderColor: 'divider',
        bgcolor: 'background.default',
      }}
    >
      <Box
        component="code"
        data-testid={rest['data-testid']}
        sx={{ flex: 1, minWidth: 0, overflowWrap: 'anywhere', userSelect: 'all', fontFamily: monospace, fontSize: '0.8125rem' }}
      >
        {value}
      </Box>
      <CopyButton text={value} what={what} />
    </Box>
  );
}
