import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Stack from '@mui/material/Stack';
import { useState } from 'react';
import { Notice } from '../components/Notice';
import type { Run } from './run';
import { letterOf } from './state';

const few = 3;

/** What the server remarks about its answers. */
export function Warnings({ run, severalQueries }: { run: Run; severalQueries: boolean }) {
  const texts = (kind: 'warnings' | 'infos') => [
    ...new Set(run.outcomes.flatMap(({ query, notes }) => notes[kind].map((text) => (severalQueries ? `${letterOf(query)}: ${text}` : text)))),
  ];
  const warnings = texts('warnings');
  const infos = texts('infos');
  if (warnings.length + infos.length === 0) return null;
  return (
    <Stack spacing={1} data-testid="explore-warnings">
      <Remarks severity="warning" texts={warnings} />
      <Remarks severity="info" texts={infos} />
    </Stack>
  );
}

function Remarks({ severity, texts }: { severity: 'warning' | 'info'; texts: string[] }) {
  const [all, setAll] = useState(false);
  if (texts.length === 0) return null;
  const shown = all ? texts : texts.slice(0, few);
  return (
    <Notice
      severity={severity}
      role="status"
      action={
        texts.length > few && (
          <Button size="small" color="inherit" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? 'Show fewer' : `Show all ${texts.length}`}
          </Button>
        )
      }
    >
      <Box component="ul" sx={{ m: 0, p: 0, listStyle: 'none' }}>
        {shown.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </Box>
    </Notice>
  );
}
