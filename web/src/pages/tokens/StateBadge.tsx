import Box from '@mui/material/Box';
import type { Token } from '../../api/types';

const looks: Record<Token['state'], { word: string; color: 'success' | 'warning' | 'error' | null }> = {
  active: { word: 'Active', color: 'success' },
  rotated: { word: 'Rotated', color: 'warning' },
  expired: { word: 'Expired', color: null },
  revoked: { word: 'Revoked', color: 'error' },
};

export function StateBadge({ state }: { state: Token['state'] }) {
  const { word, color } = looks[state];
  return (
    <Box
      component="span"
      sx={(theme) => ({
        display: 'inline-block',
        px: 0.875,
        borderRadius: 0.75,
        fontSize: '0.75rem',
        fontWeight: 600,
        lineHeight: '22px',
        color: color ? `${color}.main` : 'text.secondary',
        bgcolor: color ? `rgba(${theme.vars.palette[color].mainChannel} / 0.11)` : 'action.hover',
      })}
    >
      {word}
    </Box>
  );
}
