import Button from '@mui/material/Button';
import Stack from '@mui/material/Stack';
import TextField from '@mui/material/TextField';
import { useState, type FormEvent } from 'react';
import { useSignIn } from '../../api/session';
import { SignInError, submitLabel, useWait } from './SignInError';

export function LocalSignIn({ isFirst }: { isFirst: boolean }) {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const signIn = useSignIn();
  const wait = useWait(signIn.error);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!signIn.isLoading && wait === 0) signIn.mutate({ kind: 'local', name, password });
  };
  return (
    <Stack component="form" spacing={1.75} onSubmit={submit} aria-label="Sign in with name and password">
      <TextField
        label="Name"
        size="small"
        required
        fullWidth
        autoFocus={isFirst}
        value={name}
        onChange={(event) => setName(event.target.value)}
        slotProps={{ htmlInput: { 'data-testid': 'signin-name', autoComplete: 'username', autoCapitalize: 'none', spellCheck: false }, inputLabel: { required: false } }}
      />
      <TextField
        label="Password"
        type="password"
        size="small"
        required
        fullWidth
        value={password}
        onChange={(event) => setPassword(event.target.value)}
        slotProps={{ htmlInput: { 'data-testid': 'signin-password', autoComplete: 'current-password' }, inputLabel: { required: false } }}
      />
      <SignInError error={signIn.error} />
      <Button type="submit" data-testid="signin-submit" variant={isFirst ? 'contained' : 'outlined'} disabled={signIn.isLoading || wait > 0}>
        {submitLabel('Sign in', signIn.isLoading, wait)}
      </Button>
    </Stack>
  );
}
