import Box from '@mui/material/Box';
import Link from '@mui/material/Link';
import { Fragment } from 'react';
import { Link as RouterLink } from 'react-router-dom';
import { ChevronRightIcon } from './icons';
import { projectsScreen } from './paths';

interface BreadcrumbProps {
  project: string;
  /** The screens between the project and this one. */
  between?: { to: string; label: string }[];
}

/** The way from the list of projects to a screen of one. */
export function Breadcrumb({ project, between = [] }: BreadcrumbProps) {
  return (
    <Box component="nav" aria-label="Breadcrumb" sx={{ typography: 'body2', color: 'text.secondary', minWidth: 0 }}>
      <Box component="ol" sx={{ display: 'flex', alignItems: 'center', gap: 0.5, m: 0, p: 0, listStyle: 'none' }}>
        <Box component="li">
          <Link component={RouterLink} to={projectsScreen()} color="inherit">
            Projects
          </Link>
        </Box>
        {[{ to: projectsScreen(project), label: project }, ...between].map(({ to, label }) => (
          <Fragment key={to}>
            <ChevronRightIcon sx={{ fontSize: 14 }} />
            <Box component="li" sx={{ minWidth: 0, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }}>
              <Link component={RouterLink} to={to} color="inherit">
                {label}
              </Link>
            </Box>
          </Fragment>
        ))}
      </Box>
    </Box>
  );
}
