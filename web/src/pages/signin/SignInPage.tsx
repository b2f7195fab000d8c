import Box from '@mui/material/Box';
import Divider from '@mui/material/Divider';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { Fragment, type ReactNode } from 'react';
import { Navigate, useLocation, useSearchParams } from 'react-router-dom';
import { useSession } from '../../api/session';
import type { SignInMethod } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Logo } from '../../components/Logo';
import { Notice } from '../../components/Notice';
import { PageHeading } from '../../components/PageHeading';
import { KubernetesSignIn } from './KubernetesSignIn';
import { LocalSignIn } from './LocalSignIn';
import { OidcSignIn } from './OidcSignIn';
import { readSignInState, returnToOf, signInErrorSentence } from './signInState';

export function SignInPage() {
  const { data, error, refetch } = useSession();
  const { from, ended } = readSignInState(useLocation().state);
  const [search] = useSearchParams();
  if (data?.user) return <Navigate to={from ?? '/'} replace />;

  const failure = signInErrorSentence(search.get('error'));
  return (
    <SignInCard>
      {ended && (
        <Notice severity="info" role="status">
          Your session has ended. Sign in again to go on.
        </Notice>
      )}
      {failure && (
        <Notice severity="error" role="alert">
          {failure}
        </Notice>
      )}
      {data && <Methods methods={data.methods} returnTo={returnToOf(from)} />}
      {!data && error ? <ErrorNotice error={error} onRetry={() => void refetch()} /> : null}
      {!data && !error && <MethodsSkeleton />}
    </SignInCard>
  );
}

function SignInCard({ children }: { children: ReactNode }) {
  return (
    <Box
      component="main"
      sx={{
        minHeight: '100dvh',
        display: 'grid',
        justifyItems: 'center',
        alignContent: { xs: 'start', sm: 'center' },
        p: { xs: 2, sm: 3 },
        pt: { xs: 6 },
      }}
    >
      <Box sx={{ width: '100%', maxWidth: 400 }}>
        <Stack direction="row" spacing={1.25} sx={{ alignItems: 'center', mb: 2.5 }}>
          <Logo sx={{ fontSize: 36 }} />
          <Box>
            <PageHeading title="Sign in" focus={false} sx={{ lineHeight: 1.2 }}>
              Sign in to promgate
            </PageHeading>
            <Typography variant="body2" sx={{ color: 'text.secondary' }}>
              The way to your Prometheus servers
            </Typography>
          </Box>
        </Stack>
        <Stack spacing={2} sx={{ p: { xs: 2, sm: 3 }, borderRadius: 1.5, bgcolor: 'background.paper', border: '1px solid', borderColor: 'divider' }}>
          {children}
        </Stack>
      </Box>
    </Box>
  );
}

/** The first method is the deployment's own choice and stands out; the others follow below. */
function Methods({ methods, returnTo }: { methods: SignInMethod[]; returnTo: string }) {
  if (methods.length === 0) {
    return <Notice severity="warning">Sign-in is not configured. Set signIn in promgate's configuration.</Notice>;
  }
  return methods.map((method, index) => (
    <Fragment key={`${method.kind} ${method.name ?? ''}`}>
      {index > 0 && (
        <Divider sx={{ typography: 'caption', color: 'text.secondary' }} role="presentation">
          or
        </Divider>
      )}
      <Method method={method} isFirst={index === 0} returnTo={returnTo} />
    </Fragment>
  ));
}

function Method({ method, isFirst, returnTo }: { method: SignInMethod; isFirst: boolean; returnTo: string }) {
  switch (method.kind) {
    case 'local':
      return <LocalSignIn isFirst={isFirst} />;
    case 'oidc':
      return <OidcSignIn name={method.name} isFirst={isFirst} returnTo={returnTo} />;
    case 'kubernetes':
      return <KubernetesSignIn isFirst={isFirst} audience={method.audience} />;
  }
}

function MethodsSkeleton() {
  return (
    <Stack spacing={2} aria-busy="true">
      <Skeleton variant="rounded" height={40} />
      <Skeleton variant="rounded" height={40} />
      <Skeleton variant="rounded" height={40} />
    </Stack>
  );
}
