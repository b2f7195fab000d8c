import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import { CheckIcon, InfoIcon, WarningIcon } from './icons';

export type Severity = 'error' | 'warning' | 'success' | 'info';

interface NoticeProps {
  severity?: Severity;
  title?: ReactNode;
  children?: ReactNode;
  /** Buttons, at the end. */
  action?: ReactNode;
  role?: 'alert' | 'status';
  'data-testid'?: string;
}

const icons = { error: WarningIcon, warning: WarningIcon, success: CheckIcon, info: InfoIcon };

/** A sentence or two inside the page, in a calm box. */
export function Notice({ severity = 'info', title, children, action, role, ...rest }: NoticeProps) {
  const Icon = icons[severity];
  return (
    <Box
      role={role}
      data-testid={rest['data-testid']}
      sx={(theme) => ({
        display: 'flex',
        flexWrap: 'wrap',
        alignItems: 'center',
        columnGap: 1.5,
        rowGap: 1,
        px: 1.75,
        py: 1.25,
        borderRadius: 1,
        border: `1px solid rgba(${theme.vars.palette[severity].mainChannel} / 0.35)`,
        bgcolor: `rgba(${theme.vars.palette[severity].mainChannel} / 0.07)`,
      })}
    >
      <Box sx={{ display: 'flex', gap: 1.25, flex: '1 1 240px', minWidth: 0 }}>
        <Icon sx={{ color: `${severity}.main`, mt: '1px', flexShrink: 0 }} />
        <Box sx={{ minWidth: 0, overflowWrap: 'anywhere' }}>
          {title && <Typography sx={{ fontWeight: 600 }}>{title}</Typography>}
          {children && <Typography component="div">{children}</Typography>}
        </Box>
      </Box>
      {action && <Box sx={{ display: 'flex', gap: 1, ml: 'auto' }}>{action}</Box>}
    </Box>
  );
}
