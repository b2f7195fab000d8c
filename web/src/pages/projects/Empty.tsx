import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Typography from '@mui/material/Typography';
import type { ReactNode } from 'react';
import { useProjects } from '../../api/environments';
import { useSession } from '../../api/session';
import type { User } from '../../api/types';

function EmptyBox({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <Box
      sx={{
        px: 3,
        py: { xs: 5, sm: 7 },
        textAlign: 'center',
        border: '1px dashed',
        borderColor: 'divider',
        borderRadius: 1.5,
        bgcolor: 'background.paper',
      }}
    >
      <Typography variant="h2" component="p">
        {title}
      </Typography>
      <Typography sx={{ color: 'text.secondary', maxWidth: 520, mx: 'auto', mt: 0.5, overflowWrap: 'anywhere' }}>{children}</Typography>
      {action && <Box sx={{ mt: 2 }}>{action}</Box>}
    </Box>
  );
}

export function NoMatch({ search, onClear }: { search: string; onClear: () => void }) {
  return (
    <EmptyBox
      title={`Nothing matches “${search}”`}
      action={
        <Button variant="outlined" color="inherit" onClick={onClear}>
          Clear the search
        </Button>
      }
    >
      Search for a part of the name of a project or an environment.
    </EmptyBox>
  );
}

function whatToDo(user: User): string {
  if (user.kind === 'kubernetes') {
    return "Your Kubernetes account may not query any Prometheus. Ask for the get right on services/proxy of your project's Prometheus.";
  }
  return `You are signed in, but no project lists you as a member. Ask a project's maintainer to add ${user.name} to members.`;
}

/** Nothing to query: because of the person, or because a project has no environment yet. */
export function NothingYet() {
  const { data } = useProjects();
  const user = useSession().data?.user;
  const first = data?.projects[0];
  if (first) {
    return <EmptyBox title="No environments yet">{`You are a member of ${first.name}, but it has no environment that you may query. Ask its maintainer to add one.`}</EmptyBox>;
  }
  return user ? <EmptyBox title="No projects yet">{whatToDo(user)}</EmptyBox> : null;
}
