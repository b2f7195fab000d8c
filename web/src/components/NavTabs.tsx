import Box from '@mui/material/Box';
import type { ReactNode } from 'react';
import { NavLink } from 'react-router-dom';

export interface NavTab {
  to: string;
  label: string;
  icon: ReactNode;
}

/** Links between the screens of one thing. They look like tabs, and are links: each screen has its own address. */
export function NavTabs({ label, tabs }: { label: string; tabs: NavTab[] }) {
  return (
    <Box
      component="nav"
      aria-label={label}
      sx={{ display: 'flex', gap: { xs: 0, sm: 0.5 }, borderBottom: '1px solid', borderColor: 'divider', overflowX: 'auto', mx: { xs: -2, sm: 0 }, px: { xs: 1, sm: 0 } }}
    >
      {tabs.map(({ to, label: text, icon }) => (
        <Box
          key={to}
          component={NavLink}
          to={to}
          sx={{
            display: 'inline-flex',
            alignItems: 'center',
            justifyContent: 'center',
            gap: 0.75,
            flex: { xs: '1 0 auto', sm: 'none' },
            px: { xs: 1, sm: 1.5 },
            height: 44,
            fontSize: '0.875rem',
            fontWeight: 600,
            textDecoration: 'none',
            whiteSpace: 'nowrap',
            color: 'text.secondary',
            borderBottom: '2px solid transparent',
            marginBottom: '-1px',
            '& svg': { fontSize: 18, display: { xs: 'none', sm: 'block' } },
            '&:hover': { color: 'text.primary' },
            '&:focus-visible': { outlineOffset: '-2px' },
            '&[aria-current="page"]': { color: 'primary.main', borderBottomColor: 'primary.main' },
          }}
        >
          {icon}
          {text}
        </Box>
      ))}
    </Box>
  );
}
