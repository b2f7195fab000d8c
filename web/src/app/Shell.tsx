import Box from '@mui/material/Box';
import Link from '@mui/material/Link';
import { Suspense, type ReactNode } from 'react';
import { Outlet } from 'react-router-dom';
import type { Session, User } from '../api/types';
import { AppBar } from './AppBar';
import { ScreenSkeleton } from './ScreenSkeleton';
import { UserMenu } from './UserMenu';

const mainId = 'main';

/** Goes to the main area. A plain link would not do: the document has a base address, and the router an own idea of it. */
function SkipLink() {
  return (
    <Link
      href={`#${mainId}`}
      onClick={(event) => {
        event.preventDefault();
        document.getElementById(mainId)?.focus();
      }}
      sx={{
        position: 'fixed',
        top: 8,
        left: 8,
        zIndex: 'tooltip',
        px: 2,
        py: 1,
        borderRadius: 1,
        bgcolor: 'background.paper',
        border: '1px solid',
        borderColor: 'primary.main',
        '&:not(:focus)': { transform: 'translateY(-200%)' },
      }}
    >
      Skip to the content
    </Link>
  );
}

function Main({ children }: { children: ReactNode }) {
  return (
    <Box
      component="main"
      id={mainId}
      tabIndex={-1}
      sx={{ width: '100%', maxWidth: 1360, mx: 'auto', px: { xs: 2, sm: 3 }, pb: 8, '&:focus': { outline: 'none' } }}
    >
      {children}
    </Box>
  );
}

/** The page around every screen of somebody who is signed in. */
export function Shell({ session, user }: { session: Session; user: User }) {
  return (
    <>
      <SkipLink />
      <AppBar>
        <UserMenu user={user} expiresAt={session.expiresAt} version={session.version} />
      </AppBar>
      <Main>
        <Suspense fallback={<ScreenSkeleton />}>
          <Outlet />
        </Suspense>
      </Main>
    </>
  );
}

/** The same while nobody knows yet who that is, or why that cannot be known. */
export function ShellSkeleton({ children }: { children?: ReactNode }) {
  return (
    <>
      <AppBar />
      <Main>{children ? <Box sx={{ py: 3 }}>{children}</Box> : <ScreenSkeleton />}</Main>
    </>
  );
}
