import Box from '@mui/material/Box';
import type { DashboardProblem } from '../api/types';
import { Notice } from '../components/Notice';
import { sentenceCase } from '../components/sentenceCase';

/** More than these would push the list out of sight: they can be unfolded. */
const mostShown = 3;

/** What is deployed and cannot be shown, with the reason for whoever deployed it. */
export function Problems({ problems }: { problems: readonly DashboardProblem[] }) {
  if (problems.length === 0) return null;
  const rest = problems.slice(mostShown);
  return (
    <Notice severity="warning" title={problems.length === 1 ? 'Something is not shown' : 'Some things are not shown'} data-testid="dashboard-problems">
      <ProblemList problems={problems.slice(0, mostShown)} />
      {rest.length > 0 && (
        <Box component="details" sx={{ '& summary': { cursor: 'pointer' } }}>
          <summary>{`${rest.length} more`}</summary>
          <ProblemList problems={rest} />
        </Box>
      )}
    </Notice>
  );
}

function ProblemList({ problems }: { problems: readonly DashboardProblem[] }) {
  return (
    <Box component="ul" sx={{ m: 0, pl: 2.25 }}>
      {problems.map(({ kind, name, message }, index) => (
        <li key={index}>
          {kind} <strong>{name}</strong>: {sentenceCase(message)}
        </li>
      ))}
    </Box>
  );
}
