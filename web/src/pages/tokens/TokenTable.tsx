import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import type { Token } from '../../api/types';
import { dateText, dateTimeText, relativeTime, timeSince } from '../../components/time';
import { useNow } from '../../components/useNow';
import { StateBadge } from './StateBadge';
import type { TokenAction } from './TokenDialog';
import { endsSoon, isLive, makerOf, scopeText } from './tokenState';

const columns = ['Token', 'Opens', 'Created', 'Expires', 'Last used', 'State', 'Actions'] as const;

interface TokenTableProps {
  tokens: Token[];
  onAction: (action: TokenAction) => void;
}

/** A table on a wide screen; on a narrow one each row is a card that names its values. The roles say "table" to both. */
export function TokenTable({ tokens, onAction }: TokenTableProps) {
  const now = useNow(10_000);
  return (
    <Box
      role="table"
      aria-label="Tokens"
      sx={{
        display: 'grid',
        gap: { xs: 1.25, md: 0 },
        border: { md: '1px solid' },
        borderColor: { md: 'divider' },
        borderRadius: 1.25,
        bgcolor: { md: 'background.paper' },
        overflow: 'hidden',
      }}
    >
      <Box role="rowgroup" sx={{ display: { xs: 'none', md: 'block' } }}>
        <Box role="row" sx={{ ...rowGrid, minHeight: 40, bgcolor: 'action.hover', typography: 'caption', fontWeight: 600, color: 'text.secondary' }}>
          {columns.map((column) => (
            <Box key={column} role="columnheader" sx={{ textAlign: column === 'Actions' ? 'right' : 'left' }}>
              {column}
            </Box>
          ))}
        </Box>
      </Box>
      <Box role="rowgroup" sx={{ display: 'grid', gap: { xs: 1.25, md: 0 } }}>
        {tokens.map((token) => (
          <TokenRow key={token.id} token={token} now={now} onAction={onAction} />
        ))}
      </Box>
    </Box>
  );
}

const rowGrid = {
  display: 'grid',
  gridTemplateColumns: { xs: 'minmax(0, 1fr) minmax(0, 1fr)', md: 'minmax(140px, 1.5fr) minmax(100px, 1fr) minmax(110px, 0.9fr) minmax(110px, 0.9fr) minmax(120px, 1fr) 84px 154px' },
  columnGap: 2,
  rowGap: 1,
  alignItems: { xs: 'start', md: 'center' },
  px: 2,
  py: { xs: 1.5, md: 1 },
} as const;

function TokenRow({ token, now, onAction }: { token: Token; now: number; onAction: (action: TokenAction) => void }) {
  const isOver = !isLive(token);
  const maker = makerOf(token);
  return (
    <Box
      role="row"
      data-testid={`token-row-${token.id}`}
      data-state={token.state}
      sx={{
        ...rowGrid,
        typography: 'body2',
        bgcolor: 'background.paper',
        borderStyle: 'solid',
        borderColor: 'divider',
        borderWidth: { xs: '1px', md: '1px 0 0' },
        borderRadius: { xs: 1.25, md: 0 },
      }}
    >
      <Box role="cell" sx={{ minWidth: 0, overflowWrap: 'anywhere', gridColumn: { xs: '1 / -1', md: 'auto' } }}>
        <Typography sx={{ fontWeight: 600, color: isOver ? 'text.secondary' : 'text.primary' }}>{token.description}</Typography>
      </Box>
      <Cell name="Opens">{scopeText(token)}</Cell>
      <Cell name="Created" title={dateTimeText(token.createdAt)} more={maker?.text} moreTitle={maker?.title}>
        {dateText(token.createdAt)}
      </Cell>
      <Expiry token={token} now={now} />
      <Cell name="Last used" title={token.lastUsedAt && dateTimeText(token.lastUsedAt)} more={token.lastUsedAt && token.lastClient}>
        {token.lastUsedAt ? timeSince(token.lastUsedAt, now) : 'Never'}
      </Cell>
      <Cell name="State">
        <StateBadge state={token.state} />
      </Cell>
      <Box role="cell" sx={{ display: 'flex', gap: 0.5, justifyContent: 'flex-end', alignSelf: { xs: 'end', md: 'center' }, mr: -1.25 }}>
        <Actions token={token} onAction={onAction} />
      </Box>
    </Box>
  );
}

function Expiry({ token, now }: { token: Token; now: number }) {
  if (token.state === 'revoked' && token.revokedAt) {
    return (
      <Cell name="Expires" title={dateTimeText(token.revokedAt)} more="revoked">
        {dateText(token.revokedAt)}
      </Cell>
    );
  }
  const isWarning = endsSoon(token, now);
  return (
    <Cell name="Expires" title={dateTimeText(token.expiresAt)} more={relativeTime(token.expiresAt, now)} isWarning={isWarning}>
      {dateText(token.expiresAt)}
    </Cell>
  );
}

interface CellProps {
  name: string;
  title?: string;
  more?: string;
  moreTitle?: string;
  isWarning?: boolean;
  children: ReactNode;
}

function Cell({ name, title, more, moreTitle, isWarning, children }: CellProps) {
  return (
    <Box
      role="cell"
      title={title}
      sx={{
        minWidth: 0,
        overflowWrap: 'anywhere',
        color: isWarning ? 'warning.main' : undefined,
        fontWeight: isWarning ? 600 : undefined,
      }}
    >
      <Box component="span" sx={{ display: { xs: 'block', md: 'none' }, typography: 'caption', color: 'text.secondary' }}>
        {name}
      </Box>
      {children}
      {more && (
        <Box title={moreTitle} sx={{ typography: 'caption', color: isWarning ? 'inherit' : 'text.secondary' }}>
          {isWarning ? `Ends ${more}` : more}
        </Box>
      )}
    </Box>
  );
}

function Actions({ token, onAction }: { token: Token; onAction: (action: TokenAction) => void }) {
  if (!isLive(token)) return null;
  return (
    <>
      {token.state === 'active' && (
        <Button
          size="small"
          data-testid="token-rotate"
          aria-label={`Rotate ${token.description}`}
          onClick={() => onAction({ kind: 'rotate', token })}
        >
          Rotate
        </Button>
      )}
      <Button
        size="small"
        color="error"
        data-testid="token-revoke"
        aria-label={`Revoke ${token.description}`}
        onClick={() => onAction({ kind: 'revoke', token })}
      >
        Revoke
      </Button>
    </>
  );
}
