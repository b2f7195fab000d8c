import Box from '@mui/material/Box';
import Skeleton from '@mui/material/Skeleton';
import Stack from '@mui/material/Stack';
import { useState } from 'react';
import { useEnvironment, useProvisioning } from '../../api/environments';
import type { TokenSecret } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Panel } from '../../components/Panel';
import { ValueField } from '../../components/ValueField';
import { useEnvironmentParams } from '../environment/useEnvironmentParams';
import { AboutEnvironment, aboutTitle } from './AboutEnvironment';
import { FirstRequest } from './FirstRequest';
import { Snippets } from './Snippets';
import { TokenPanel, tokenTitle } from './TokenPanel';

/** From nothing to a client that asks: address, token, snippet, first request. */
export default function ConnectPage() {
  const { project, environment } = useEnvironmentParams();
  const detail = useEnvironment(project, environment).data;
  const [made, setMade] = useState<TokenSecret | null>(null);

  return (
    <Box sx={{ pt: 2.5, display: 'grid', gap: 2, gridTemplateColumns: { xs: 'minmax(0, 1fr)', lg: 'minmax(0, 1fr) 320px' }, alignItems: 'start' }}>
      <Stack spacing={2} sx={{ minWidth: 0 }}>
        <Panel title="1. Address" description="Clients of Prometheus' API use this as the server's URL.">
          {detail ? <ValueField value={detail.url} what="the address" data-testid="env-url" /> : <Skeleton variant="rounded" height={48} />}
        </Panel>
        {detail ? <TokenPanel detail={detail} made={made} onMade={setMade} /> : <PanelSkeleton title={tokenTitle} height={212} />}
        <SnippetsPanel project={project} environment={environment} secret={made?.secret} />
        {made && <FirstRequest project={project} id={made.token.id} />}
      </Stack>
      {detail ? <AboutEnvironment detail={detail} /> : <PanelSkeleton title={aboutTitle} height={430} />}
    </Box>
  );
}

function PanelSkeleton({ title, height }: { title: string; height: number }) {
  return (
    <Panel title={title}>
      <Skeleton variant="rounded" height={height} />
    </Panel>
  );
}

function SnippetsPanel({ project, environment, secret }: { project: string; environment: string; secret?: string }) {
  const { data, error, refetch } = useProvisioning(project, environment);
  return (
    <Panel title="3. Client" description={secret ? 'Your token is already in its place.' : 'The marked word is where the token belongs.'}>
      {data && <Snippets provisioning={data} secret={secret} />}
      {!data && error ? <ErrorNotice error={error} onRetry={() => void refetch()} /> : null}
      {!data && !error && <Skeleton variant="rounded" height={380} />}
    </Panel>
  );
}
