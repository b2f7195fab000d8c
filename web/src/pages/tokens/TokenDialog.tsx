import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { useState } from 'react';
import { useRevokeToken, useRotateToken } from '../../api/tokens';
import type { Token, TokenSecret } from '../../api/types';
import { ActionDialog } from '../../components/ActionDialog';
import { ErrorNotice } from '../../components/ErrorNotice';
import { SecretNotice } from '../../components/SecretNotice';
import { SelectField } from '../../components/SelectField';
import { timeSince } from '../../components/time';
import { TokenForm } from '../../components/TokenForm';

export type TokenAction = { kind: 'create' } | { kind: 'rotate'; token: Token } | { kind: 'revoke'; token: Token };

interface TokenDialogProps {
  project: string;
  action: TokenAction;
  onClose: () => void;
}

export function TokenDialog({ project, action, onClose }: TokenDialogProps) {
  const [made, setMade] = useState<TokenSecret | null>(null);
  if (made) {
    return (
      <ActionDialog title={action.kind === 'rotate' ? 'Rotated' : 'Your new token'} closeLabel="Done" isSticky onClose={onClose}>
        <SecretNotice made={made}>{action.kind === 'rotate' ? 'Put it in the place of the old one.' : undefined}</SecretNotice>
      </ActionDialog>
    );
  }
  switch (action.kind) {
    case 'create':
      return (
        <ActionDialog title="New token" hasActions={false} onClose={onClose}>
          <TokenForm project={project} onMade={setMade} onCancel={onClose} />
        </ActionDialog>
      );
    case 'rotate':
      return <RotateDialog project={project} token={action.token} onClose={onClose} onMade={setMade} />;
    case 'revoke':
      return <RevokeDialog project={project} token={action.token} onClose={onClose} />;
  }
}

const hour = 3_600;
const overlaps = [
  { value: 0, label: 'Not at all' },
  { value: hour, label: '1 hour' },
  { value: 24 * hour, label: '24 hours' },
  { value: 7 * 24 * hour, label: '7 days' },
];

interface RotateDialogProps {
  project: string;
  token: Token;
  onClose: () => void;
  onMade: (made: TokenSecret) => void;
}

function RotateDialog({ project, token, onClose, onMade }: RotateDialogProps) {
  const [overlapSeconds, setOverlap] = useState(24 * hour);
  const rotate = useRotateToken(project);
  const onConfirm = () => rotate.mutate({ id: token.id, overlapSeconds }, { onSuccess: onMade });
  return (
    <ActionDialog
      title={`Rotate “${token.description}”`}
      onClose={onClose}
      confirm={{ label: 'Rotate', busyLabel: 'Rotating…', isBusy: rotate.isLoading, onConfirm }}
    >
      <Stack spacing={2}>
        <Typography>A new token takes its place, with the same scope and lifetime. The old one goes on for a while, so that you can replace it in your clients.</Typography>
        <SelectField label="The old one stays good for" value={overlapSeconds} options={overlaps} onChange={setOverlap} data-testid="token-overlap" />
        {rotate.error ? <ErrorNotice error={rotate.error} title="The token was not rotated" /> : null}
      </Stack>
    </ActionDialog>
  );
}

function RevokeDialog({ project, token, onClose }: { project: string; token: Token; onClose: () => void }) {
  const revoke = useRevokeToken(project);
  const onConfirm = () => revoke.mutate(token.id, { onSuccess: onClose });
  const reach = token.environment ? `${token.environment} of ${project}` : `any environment of ${project}`;
  return (
    <ActionDialog
      title={`Revoke “${token.description}”?`}
      onClose={onClose}
      confirm={{ label: 'Revoke', busyLabel: 'Revoking…', isBusy: revoke.isLoading, isDangerous: true, onConfirm }}
    >
      <Stack spacing={1.5}>
        <Typography>{`Every client with this token can no longer query ${reach}, within a second. This cannot be undone.`}</Typography>
        <Typography sx={{ color: 'text.secondary' }}>
          {token.lastUsedAt ? `${token.lastClient ?? 'A client'} used it ${timeSince(token.lastUsedAt, Date.now())}.` : 'No client has used it so far.'}
        </Typography>
        {revoke.error ? <ErrorNotice error={revoke.error} title="The token was not revoked" /> : null}
      </Stack>
    </ActionDialog>
  );
}
