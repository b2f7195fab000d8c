import Stack from '@mui/material/Stack';
import type { TokenSecret } from '../api/types';
import { Notice } from './Notice';
import { dateText } from './time';
import { ValueField } from './ValueField';

/** A new token. It is shown here and never again. */
export function SecretNotice({ made, children }: { made: TokenSecret; children?: string }) {
  return (
    <Stack spacing={1.25}>
      <Notice severity="success" role="status" title="Copy the token now: it is shown only this once">
        {`“${made.token.description}” is good until ${dateText(made.token.expiresAt)}.${children ? ` ${children}` : ''}`}
      </Notice>
      <ValueField value={made.secret} what="the token" data-testid="token-secret" />
    </Stack>
  );
}
