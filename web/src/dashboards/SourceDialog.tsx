import Box from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import { useMemo, useState } from 'react';
import { stringify } from 'yaml';
import type { DashboardDetail } from '../api/types';
import { ActionDialog } from '../components/ActionDialog';
import { CodeBlock } from '../components/CodeBlock';
import { CopyButton } from '../components/CopyButton';
import { ValueField } from '../components/ValueField';
import { NativeChoice } from '../explore/NativeChoice';

const formats = [
  { value: 'yaml', title: 'YAML' },
  { value: 'json', title: 'JSON' },
];

/** Where the dashboard comes from, and what it is made of. */
export default function SourceDialog({ detail: { dashboard, source }, title, onClose }: { detail: DashboardDetail; title: string; onClose: () => void }) {
  const [format, setFormat] = useState('yaml');
  const text = useMemo(() => (format === 'json' ? JSON.stringify(dashboard, null, 2) : stringify(dashboard, { aliasDuplicateObjects: false })), [dashboard, format]);
  return (
    <ActionDialog title={`Source of ${title}`} onClose={onClose} closeLabel="Close" isWide>
      <Typography sx={{ mb: 1 }}>
        It is deployed to the namespace <strong>{source.namespace}</strong> of the cluster <strong>{source.cluster}</strong>, and can be changed there
        alone. This shows it as it was deployed:
      </Typography>
      <ValueField value={source.kubectl} what="the command" data-testid="dashboard-kubectl" />
      <Box sx={{ display: 'flex', flexWrap: 'wrap', alignItems: 'center', gap: 1, mt: 2.5, mb: 1 }}>
        <Typography variant="h3" component="h3" sx={{ mr: 'auto' }}>
          As this page has it
        </Typography>
        <NativeChoice label="Format" value={format} choices={formats} onChange={setFormat} />
        <CopyButton text={text} what="the dashboard" />
      </Box>
      <CodeBlock label="The dashboard" data-testid="dashboard-source">
        {text}
      </CodeBlock>
    </ActionDialog>
  );
}
