import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Stack from '@mui/material/Stack';
import TextField from '@mui/material/TextField';
import Typography from '@mui/material/Typography';
import { useRef, useState, type FormEvent } from 'react';
import { useSignIn } from '../../api/session';
import { CopyButton } from '../../components/CopyButton';
import { monospace } from '../../theme';
import { SignInError, submitLabel, useWait } from './SignInError';

/** A text area and no password field: browsers would offer to keep what is in one. */
export function KubernetesSignIn({ isFirst, audience }: { isFirst: boolean; audience?: string }) {
  const [token, setToken] = useState('');
  const [isShown, setShown] = useState(false);
  const signIn = useSignIn();
  const wait = useWait(signIn.error);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!signIn.isLoading && wait === 0) signIn.mutate({ kind: 'kubernetes', token: token.trim() });
  };
  return (
    <Stack component="form" spacing={1.5} onSubmit={submit} aria-label="Sign in with a Kubernetes token">
      <TextField
        label="Kubernetes token"
        multiline
        rows={3}
        required
        fullWidth
        value={token}
        onChange={(event) => setToken(event.target.value)}
        helperText="The gateway keeps it for this session alone, encrypted. It is never shown again."
        slotProps={{
          htmlInput: { 'data-testid': 'signin-token', autoComplete: 'off', autoCapitalize: 'none', autoCorrect: 'off', spellCheck: false },
          input: { sx: { '& textarea': { fontFamily: monospace, fontSize: '0.8125rem', wordBreak: 'break-all', WebkitTextSecurity: isShown ? 'none' : 'disc' } } },
          inputLabel: { required: false },
        }}
      />
      <Stack direction="row" spacing={1}>
        <TokenFileButton onToken={setToken} />
        <Button size="small" color="inherit" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
          {isShown ? 'Hide the token' : 'Show the token'}
        </Button>
      </Stack>
      <SignInError error={signIn.error} />
      <Button type="submit" data-testid="signin-token-submit" variant={isFirst ? 'contained' : 'outlined'} disabled={signIn.isLoading || wait > 0}>
        {submitLabel('Sign in with this token', signIn.isLoading, wait)}
      </Button>
      <TokenHint audience={audience} />
    </Stack>
  );
}

function TokenFileButton({ onToken }: { onToken: (token: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const read = async (file: File | undefined) => {
    if (file) onToken((await file.text()).trim());
  };
  return (
    <Box>
      <input
        ref={input}
        type="file"
        hidden
        aria-label="File with a token"
        onChange={(event) => {
          void read(event.target.files?.[0]);
          event.target.value = '';
        }}
      />
      <Button size="small" variant="outlined" color="inherit" onClick={() => input.current?.click()}>
        Choose a file
      </Button>
    </Box>
  );
}

function TokenHint({ audience }: { audience?: string }) {
  const command = 'kubectl create token NAME' + (audience === undefined ? '' : ` --audience ${audience}`);
  return (
    <Box>
      <Typography variant="body2" sx={{ color: 'text.secondary', mb: 0.75 }}>
        To make one for a service account:
      </Typography>
      <Stack direction="row" spacing={1} sx={{ alignItems: 'center', bgcolor: 'action.hover', borderRadius: 1, pl: 1.5, pr: 0.75, py: 0.75 }}>
        <Box component="code" sx={{ flex: 1, minWidth: 0, overflowWrap: 'anywhere' }}>
          {command}
        </Box>
        <CopyButton text={command} what="the command" />
      </Stack>
    </Box>
  );
}
