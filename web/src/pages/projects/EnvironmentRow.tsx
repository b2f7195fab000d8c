import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Link from '@mui/material/Link';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import { Link as RouterLink } from 'react-router-dom';
import type { Environment } from '../../api/types';
import { HealthBadge, healthText } from '../../components/Health';
import { ExploreIcon, PlugIcon } from '../../components/icons';
import { LabelChips } from '../../components/LabelChips';
import { environmentScreen } from '../../components/paths';

const wholeLine = { xs: '1 / -1', md: 'auto' };

/** One line on a wide screen; three on a phone. */
export function EnvironmentRow({ environment, isFirst, isLast }: { environment: Environment; isFirst: boolean; isLast: boolean }) {
  const { project, name, health, enforced } = environment;
  const message = healthText(health);
  return (
    <Box
      data-testid={`env-row-${project}-${name}`}
      sx={{
        display: 'grid',
        gridTemplateColumns: { xs: '1fr auto', md: 'minmax(140px, 20%) 88px minmax(0, 1fr) fit-content(300px) auto' },
        alignItems: 'center',
        columnGap: 2,
        rowGap: 0.25,
        px: { xs: 1.75, md: 2 },
        py: 1,
        minHeight: 53,
        bgcolor: 'background.paper',
        border: '1px solid',
        borderColor: 'divider',
        borderBottomWidth: isLast ? 1 : 0,
        ...(isFirst && { borderTopLeftRadius: 10, borderTopRightRadius: 10 }),
        ...(isLast && { borderBottomLeftRadius: 10, borderBottomRightRadius: 10 }),
        '&:hover': { backgroundImage: 'linear-gradient(var(--mui-palette-action-hover), var(--mui-palette-action-hover))' },
      }}
    >
      <Link
        component={RouterLink}
        to={environmentScreen(project, name, 'explore')}
        noWrap
        title={name}
        sx={{ fontWeight: 600, color: 'text.primary', minWidth: 0 }}
      >
        {name}
      </Link>
      <Typography variant="body2" component="div">
        <HealthBadge health={health} />
      </Typography>
      <Typography
        variant="body2"
        noWrap
        title={message}
        sx={{
          color: 'text.secondary',
          minWidth: 0,
          gridColumn: wholeLine,
          display: { xs: message ? 'block' : 'none', md: 'block' },
        }}
      >
        {message}
      </Typography>
      <Box sx={{ minWidth: 0, gridColumn: wholeLine, display: { xs: Object.keys(enforced).length > 0 ? 'flex' : 'none', md: 'flex' } }}>
        <LabelChips labels={enforced} max={2} isOneLine />
      </Box>
      <Box sx={{ display: 'flex', gap: 0.5, gridColumn: wholeLine, mx: { xs: -1, md: 0 } }}>
        <Action to={environmentScreen(project, name, 'explore')} icon={<ExploreIcon />} word="Explore" target={`${project} ${name}`} />
        <Action to={environmentScreen(project, name, 'connect')} icon={<PlugIcon />} word="Connect" target={`${project} ${name}`} />
      </Box>
    </Box>
  );
}

function Action({ to, icon, word, target }: { to: string; icon: ReactNode; word: string; target: string }) {
  return (
    <Button component={RouterLink} to={to} size="small" startIcon={icon} aria-label={`${word} ${target}`}>
      {word}
    </Button>
  );
}
