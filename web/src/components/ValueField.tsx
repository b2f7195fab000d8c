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
        flexDirection: { xs: 'column', sm: 'row' },
        alignItems: { xs: 'flex-end', sm: 'center' },
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
        sx={{ flex: { sm: 1 }, width: { xs: '100%', sm: 'auto' }, minWidth: 0, overflowWrap: 'anywhere', userSelect: 'all', fontFamily: monospace, fontSize: '0.8125rem' }}
      >
        {value}
      </Box>
      <CopyButton text={value} what={what} />
    </Box>
  );
}
