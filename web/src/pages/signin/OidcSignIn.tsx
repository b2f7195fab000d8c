import Button from '@mui/material/Button';
import Stack from '@mui/material/Stack';
import { useEffect } from 'react';
import { useOidcSignIn } from '../../api/session';
import { SignInError, submitLabel, useWait } from './SignInError';

export function OidcSignIn({ name, isFirst, returnTo }: { name?: string; isFirst: boolean; returnTo: string }) {
  const signIn = useOidcSignIn();
  const wait = useWait(signIn.error);
  const { reset } = signIn;
  // Whoever comes back with the browser's back button finds the page as it was left: waiting for the provider.
  useEffect(() => {
    const onReturn = (event: PageTransitionEvent) => event.persisted && reset();
    window.addEventListener('pageshow', onReturn);
    return () => window.removeEventListener('pageshow', onReturn);
  }, [reset]);
  // Also after the answer: the browser is about to leave.
  const isBusy = signIn.isLoading || signIn.isSuccess;
  return (
    <Stack spacing={1.75}>
      <SignInError error={signIn.error} />
      <Button data-testid="signin-oidc" variant={isFirst ? 'contained' : 'outlined'} disabled={isBusy || wait > 0} onClick={() => signIn.mutate(returnTo)}>
        {submitLabel(`Continue with ${name || 'your company account'}`, isBusy, wait)}
      </Button>
    </Stack>
  );
}
