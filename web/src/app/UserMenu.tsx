import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Divider from '@mui/material/Divider';
import Popover from '@mui/material/Popover';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { useState } from 'react';
import { useSignOut } from '../api/session';
import type { User } from '../api/types';
import { ErrorNotice } from '../components/ErrorNotice';
import { ChevronDownIcon, UserIcon } from '../components/icons';
import { dateTimeText } from '../components/time';

const kinds: Record<User['kind'], string> = {
  local: 'Signed in with a password',
  oidc: 'Signed in through a provider',
  kubernetes: 'Signed in with a Kubernetes token',
};

interface UserMenuProps {
  user: User;
  expiresAt?: string;
  version: string;
}

export function UserMenu(props: UserMenuProps) {
  const [anchor, setAnchor] = useState<HTMLElement | null>(null);
  return (
    <>
      <Button
        data-testid="user-menu"
        size="small"
        color="inherit"
        startIcon={<UserIcon />}
        endIcon={<ChevronDownIcon />}
        aria-haspopup="dialog"
        aria-expanded={anchor !== null}
        aria-label={`Account of ${props.user.name}`}
        onClick={(event) => setAnchor(event.currentTarget)}
        sx={{ maxWidth: '100%' }}
      >
        <Box component="span" sx={{ overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', maxWidth: { xs: 96, sm: 240 } }}>
          {props.user.name}
        </Box>
      </Button>
      <Popover
        open={anchor !== null}
        anchorEl={anchor}
        onClose={() => setAnchor(null)}
        anchorOrigin={{ vertical: 'bottom', horizontal: 'right' }}
        transformOrigin={{ vertical: 'top', horizontal: 'right' }}
        slotProps={{
          paper: {
            role: 'dialog',
            'aria-label': 'Account',
            sx: { width: 300, maxWidth: 'calc(100vw - 32px)', mt: 0.75, border: '1px solid', borderColor: 'divider', borderRadius: 1.25 },
          },
        }}
      >
        <Account {...props} />
      </Popover>
    </>
  );
}

function Account({ user, expiresAt, version }: UserMenuProps) {
  const signOut = useSignOut();
  return (
    <>
      <Stack spacing={1.25} sx={{ p: 2, overflowWrap: 'anywhere' }}>
        <Box>
          <Typography sx={{ fontWeight: 600 }}>{user.name}</Typography>
          <Typography variant="body2" sx={{ color: 'text.secondary' }}>
            {kinds[user.kind]}
          </Typography>
        </Box>
        <Fact name="Groups">{user.groups.length > 0 ? user.groups.join(', ') : 'None'}</Fact>
        {expiresAt && <Fact name="Session ends at">{dateTimeText(expiresAt)}</Fact>}
      </Stack>
      <Divider />
      <Stack spacing={0.5} sx={{ p: 1, alignItems: 'stretch' }}>
        <Button
          autoFocus
          data-testid="sign-out"
          color="inherit"
          disabled={signOut.isLoading}
          onClick={() => signOut.mutate('here')}
          sx={{ justifyContent: 'flex-start' }}
        >
          Sign out
        </Button>
        <Button
          data-testid="sign-out-everywhere"
          color="inherit"
          disabled={signOut.isLoading}
          onClick={() => signOut.mutate('everywhere')}
          sx={{ justifyContent: 'flex-start' }}
        >
          Sign out everywhere
        </Button>
        {signOut.error ? <ErrorNotice error={signOut.error} /> : null}
      </Stack>
      <Divider />
      <Typography variant="caption" component="p" sx={{ px: 2, py: 1, color: 'text.secondary' }}>
        promgate {version}
      </Typography>
    </>
  );
}

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <Box>
      <Typography variant="caption" component="p" sx={{ color: 'text.secondary' }}>
        {name}
      </Typography>
      <Typography variant="body2" sx={{ maxHeight: 120, overflowY: 'auto' }}>
        {children}
      </Typography>
    </Box>
  );
}
