import Box from '@mui/material/Box';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import type { Hop, HopStatus } from '../../api/types';
import { CodeBlock } from '../../components/CodeBlock';
import { CopyButton } from '../../components/CopyButton';
import { CheckIcon, CloseIcon, DashIcon } from '../../components/icons';
import { sentenceCase } from '../../components/sentenceCase';
import { VisuallyHidden } from '../../components/VisuallyHidden';
import { hopTitle, isWithheld } from './summary';

const looks: Record<HopStatus, { word: string; color: 'success' | 'error' | null; Icon: typeof CheckIcon }> = {
  ok: { word: 'works', color: 'success', Icon: CheckIcon },
  failed: { word: 'fails', color: 'error', Icon: CloseIcon },
  skipped: { word: 'was not checked', color: null, Icon: DashIcon },
};

function List({ children }: { children: ReactNode }) {
  return (
    <Box
      component="ol"
      aria-label="Hops"
      sx={{ m: 0, px: { xs: 1.5, sm: 2.5 }, py: 2, listStyle: 'none', borderRadius: 1.25, border: '1px solid', borderColor: 'divider', bgcolor: 'background.paper' }}
    >
      {children}
    </Box>
  );
}

/** The column with the mark, and the line down to the next one. */
function Step({ mark, isLast, children, ...rest }: { mark: ReactNode; isLast: boolean; children: ReactNode; 'data-testid'?: string; 'data-status'?: string }) {
  return (
    <Box component="li" {...rest} sx={{ display: 'grid', gridTemplateColumns: '28px minmax(0, 1fr)', columnGap: 1.5 }}>
      <Box sx={{ display: 'flex', flexDirection: 'column', alignItems: 'center' }}>
        {mark}
        {!isLast && <Box sx={{ flex: 1, width: '2px', minHeight: 12, my: 0.5, bgcolor: 'divider', borderRadius: 1 }} />}
      </Box>
      <Box sx={{ pb: isLast ? 0 : 1.75, minWidth: 0, pt: '2px' }}>{children}</Box>
    </Box>
  );
}

export function HopList({ hops }: { hops: Hop[] }) {
  return (
    <List>
      {hops.map((hop, index) => (
        <Step key={`${index} ${hop.name}`} mark={<Mark status={hop.status} />} isLast={index === hops.length - 1} data-testid={`hop-${index}`} data-status={hop.status}>
          {hop.status === 'failed' ? <FailedHop hop={hop} /> : <QuietHop hop={hop} />}
        </Step>
      ))}
    </List>
  );
}

function Mark({ status }: { status: HopStatus }) {
  const { color, Icon } = looks[status];
  return (
    <Box
      sx={(theme) => ({
        width: 26,
        height: 26,
        flexShrink: 0,
        borderRadius: '50%',
        display: 'grid',
        placeItems: 'center',
        color: color ? `${color}.main` : 'text.secondary',
        bgcolor: color ? `rgba(${theme.vars.palette[color].mainChannel} / 0.13)` : 'action.hover',
      })}
    >
      <Icon sx={{ fontSize: 16 }} />
    </Box>
  );
}

function HopHeading({ hop }: { hop: Hop }) {
  return (
    <Typography variant="h3" component="h2">
      {hopTitle(hop.name)}
      <VisuallyHidden> {looks[hop.status].word}</VisuallyHidden>
    </Typography>
  );
}

function QuietHop({ hop }: { hop: Hop }) {
  const text = sentenceCase(hop.found) || (hop.status === 'skipped' ? 'Not checked' : '');
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', columnGap: 1.5 }}>
      <HopHeading hop={hop} />
      <Typography sx={{ color: 'text.secondary', minWidth: 0, overflowWrap: 'anywhere' }}>{text}</Typography>
    </Box>
  );
}

function FailedHop({ hop }: { hop: Hop }) {
  return (
    <Stack spacing={1}>
      <HopHeading hop={hop} />
      {isWithheld(hop) && <Typography>Ask a maintainer for the details.</Typography>}
      {hop.found && <Typography sx={{ overflowWrap: 'anywhere' }}>{sentenceCase(hop.found)}</Typography>}
      {hop.cause && (
        <Typography sx={{ overflowWrap: 'anywhere', color: 'error.main', fontWeight: 600 }}>{sentenceCase(hop.cause)}</Typography>
      )}
      {hop.apply && <Remedy yaml={hop.apply} />}
    </Stack>
  );
}

function Remedy({ yaml }: { yaml: string }) {
  return (
    <Stack spacing={1}>
      <Stack direction="row" sx={{ flexWrap: 'wrap', alignItems: 'center', justifyContent: 'space-between', gap: 1 }}>
        <Typography variant="body2" sx={{ color: 'text.secondary' }}>
          To repair it, apply this with{' '}
          <Box component="code" sx={{ whiteSpace: 'nowrap' }}>
            kubectl apply -f -
          </Box>
        </Typography>
        <CopyButton text={yaml} what="the YAML" />
      </Stack>
      <CodeBlock label="YAML to apply">{yaml}</CodeBlock>
    </Stack>
  );
}

export function HopListSkeleton() {
  return (
    <List>
      {Array.from({ length: 7 }, (_, index) => (
        <Step key={index} isLast={index === 6} mark={<Skeleton variant="circular" width={26} height={26} />}>
          <Skeleton variant="text" width={`${70 - ((index * 17) % 40)}%`} />
        </Step>
      ))}
    </List>
  );
}
