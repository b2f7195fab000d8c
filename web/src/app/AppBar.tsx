import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import { Link as RouterLink, useLocation } from 'react-router-dom';
import { Logo } from '../components/Logo';

const appBarHeight = 52;

/** Product, way home, and the person's own menu. */
export function AppBar({ children }: { children?: ReactNode }) {
  const isHome = useLocation().pathname === '/';
  return (
    <Box component="header" sx={{ bgcolor: 'background.paper', borderBottom: '1px solid', borderColor: 'divider' }}>
      <Box
        sx={{ height: appBarHeight, maxWidth: 1360, mx: 'auto', px: { xs: 1.5, sm: 3 }, display: 'flex', alignItems: 'center', gap: { xs: 0.5, sm: 1.5 } }}
      >
        <Box
          component={RouterLink}
          to="/"
          sx={{ display: 'flex', alignItems: 'center', gap: 1, color: 'text.primary', textDecoration: 'none', borderRadius: 1 }}
        >
          <Logo sx={{ fontSize: 26 }} />
          <Typography component="span" sx={{ fontSize: '1rem', fontWeight: 700, letterSpacing: '-0.02em' }}>
            promgate
          </Typography>
        </Box>
        <Box component="nav" aria-label="Main" sx={{ ml: { xs: 0.5, sm: 1 } }}>
          <Button
            component={RouterLink}
            to="/"
            size="small"
            color="inherit"
            aria-current={isHome ? 'page' : undefined}
            sx={{ color: isHome ? 'text.primary' : 'text.secondary', bgcolor: isHome ? 'action.hover' : undefined }}
          >
            Projects
          </Button>
        </Box>
        <Box sx={{ ml: 'auto', minWidth: 0 }}>{children}</Box>
      </Box>
    </Box>
  );
}
