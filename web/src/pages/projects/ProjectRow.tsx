import Box from '@mui/material/Box';
import Link from '@mui/material/Link';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import { Link as RouterLink } from 'react-router-dom';
import { useSession } from '../../api/session';
import { DashboardIcon, KeyIcon } from '../../components/icons';
import { dashboardsScreen, tokensScreen } from '../../components/paths';
import { countText, numberText } from '../../components/quantity';

interface ProjectRowProps {
  project: string;
  count: number;
  isComplete: boolean;
  isFirst: boolean;
}

export function ProjectRow({ project, count, isComplete, isFirst }: ProjectRowProps) {
  const hasDashboards = useSession().data?.dashboards !== undefined;
  return (
    <Box sx={{ display: 'flex', alignItems: 'baseline', gap: 1.25, pt: isFirst ? 0.5 : 2.5, pb: 0.875, px: 0.25 }}>
      <Typography variant="h2" noWrap sx={{ minWidth: 0 }}>
        {project}
      </Typography>
      <Typography variant="body2" noWrap sx={{ color: 'text.secondary', flexShrink: 0 }}>
        {isComplete ? countText(count, 'environment') : `${numberText(count)}+ environments`}
      </Typography>
      <Box sx={{ ml: 'auto', display: 'flex', gap: 2, flexShrink: 0 }}>
        {hasDashboards && <ProjectLink to={dashboardsScreen(project)} icon={<DashboardIcon />} word="Dashboards" project={project} />}
        <ProjectLink to={tokensScreen(project)} icon={<KeyIcon />} word="Tokens" project={project} />
      </Box>
    </Box>
  );
}

function ProjectLink({ to, icon, word, project }: { to: string; icon: ReactNode; word: string; project: string }) {
  return (
    <Link
      component={RouterLink}
      to={to}
      variant="body2"
      aria-label={`${word} of ${project}`}
      sx={{ display: 'inline-flex', alignItems: 'center', gap: 0.5, fontWeight: 600, '& svg': { fontSize: 16 } }}
    >
      {icon}
      {word}
    </Link>
  );
}
