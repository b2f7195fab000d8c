import Box from '@mui/material/Box';
import Link from '@mui/material/Link';
import { CodeBlock } from '../components/CodeBlock';
import { CopyButton } from '../components/CopyButton';
import { EmptyBox } from './EmptyBox';
import { firstDashboard } from './firstDashboard';

const documentation = 'https://github.com/promgate/promgate/blob/main/docs/perses.md';

export function NoDashboards({ project }: { project: string }) {
  const text = firstDashboard(project);
  return (
    <EmptyBox title="No dashboards yet">
      Dashboards come from Kubernetes: deploy one to the namespace {project} with the rest of the application, and it is here. Name one of your own
      environments in place of production.{' '}
      <Link href={documentation} target="_blank" rel="noreferrer" underline="always">
        More in the documentation
      </Link>
      .
      <Box sx={{ textAlign: 'left', mt: 2, display: 'grid', gap: 1 }}>
        <CodeBlock label="A command that deploys a first dashboard">{text}</CodeBlock>
        <CopyButton text={text} what="the command" sx={{ justifySelf: 'end' }} />
      </Box>
    </EmptyBox>
  );
}
