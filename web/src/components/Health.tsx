import Box from '@mui/material/Box';
import type { Health } from '../api/types';
import { sentenceCase } from './sentenceCase';
import { dateTimeText } from './time';

const words: Record<Health['status'], string> = { up: 'Up', down: 'Down', checking: 'Checking', unknown: 'Unknown' };
const colors: Record<Health['status'], string> = { up: 'success.main', down: 'error.main', checking: 'info.main', unknown: 'text.disabled' };

/** What answers, or why nothing does or nobody knows. */
export function healthText({ message, status }: Health): string {
  return message ? sentenceCase(message) : status === 'unknown' ? 'Asked only with your own credentials' : '';
}

/** What a pointer over the health shows: all of it, and when that was. */
function explain(health: Health): string {
  const { checkedAt, status } = health;
  const parts = [healthText(health) || words[status]];
  if (checkedAt) parts.push(`checked ${dateTimeText(checkedAt)}`);
  return parts.join(' · ');
}

/** A dot and a word: the colour never says anything alone. */
export function HealthBadge({ health }: { health: Health }) {
  return (
    <Box
      component="span"
      title={explain(health)}
      data-health={health.status}
      sx={{ display: 'inline-flex', alignItems: 'center', gap: 0.875, whiteSpace: 'nowrap' }}
    >
      <Box
        component="span"
        sx={{
          width: 9,
          height: 9,
          borderRadius: '50%',
          flexShrink: 0,
          bgcolor: colors[health.status],
          ...(health.status === 'unknown' && { bgcolor: 'transparent', border: '2px solid', borderColor: 'text.disabled' }),
          ...(health.status === 'checking' && {
            animation: 'pg-pulse 1.2s ease-in-out infinite',
            '@keyframes pg-pulse': { '50%': { opacity: 0.25 } },
          }),
        }}
      />
      <Box
        component="span"
        sx={{ color: health.status === 'down' ? 'error.main' : 'text.primary', fontWeight: health.status === 'down' ? 600 : 400 }}
      >
        {words[health.status]}
      </Box>
    </Box>
  );
}
