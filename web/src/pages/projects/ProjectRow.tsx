import Box from '@mui/material/Box';
import Link from '@mui/material/Link';
import Typography from '@mui/material/Typography';
import { Link as RouterLink } from 'react-router-dom';
import { KeyIcon } from '../../components/icons';
import { tokensScreen } from '../../components/paths';
import { countText, numberText } from '../../components/quantity';

interface ProjectRowProps {
  project: string;
  count: number;
  isComplete: boolean;
  isFirst: boolean;
}

export function ProjectRow({ project, count, isComplete, isFirst }: ProjectRowProps) {
  return (
    <Box sx={{ display: 'flex', alignItems: 'baseline', gap: 1.25, pt: isFirst ? 0.5 : 2.5, pb: 0.875, px: 0.25 }}>
      <Typography variant="h2" noWrap sx={{ minWidth: 0 }}>
        {project}
      </Typography>
      <Typography variant="body2" noWrap sx={{ color: 'text.secondary', flexShrink: 0 }}>
        {isComplete ? countText(count, 'environment') : `${numberText(count)}+ environments`}
      </Typography>
      <Link
        component={RouterLink}
        to={tokensScreen(project)}
        variant="body2"
        aria-label={`Tokens of ${project}`}
        sx={{ ml: 'auto', display: 'inline-flex', alignItems: 'center', gap: 0.5, fontWeight: 600, flexShrink: 0 }}
      >
        <KeyIcon sx={{ fontSize: 16 }} />
        Tokens
      </Link>
    </Box>
  );
}
