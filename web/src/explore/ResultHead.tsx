import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import ToggleButton from '@mui/material/ToggleButton';
import ToggleButtonGroup from '@mui/material/ToggleButtonGroup';
import { useState } from 'react';
import { DownloadIcon } from '../components/icons';
import { csvOf, fileName, save } from './download';
import { NativeChoice } from './NativeChoice';
import { formatDuration } from './range';
import type { Run } from './run';
import { formatTime } from './time';
import { formatCount, isUnit, units, type Unit } from './units';

interface ResultHeadProps {
  run: Run;
  project: string;
  environment: string;
  unit: Unit;
  stacked: boolean;
  cancelled: boolean;
  onUnit: (unit: Unit) => void;
  onStacked: (stacked: boolean) => void;
}

const unitChoices = units.map(({ unit, title }) => ({ value: unit, title }));

/** What came back, in numbers, and how to look at it. */
export function ResultHead({ run, project, environment, unit, stacked, cancelled, onUnit, onStacked }: ResultHeadProps) {
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 1, alignItems: 'center', mb: 1 }}>
      <Box role="status" sx={{ flex: { xs: '1 0 100%', sm: '1 1 260px' }, px: 1, fontSize: 12.5, color: 'text.secondary', fontVariantNumeric: 'tabular-nums' }}>
        {cancelled && 'The last run was cancelled; this is from before. '}
        {describe(run)}
      </Box>
      {run.mode === 'graph' && (
        <>
          <NativeChoice label="Unit" data-testid="explore-unit" value={unit} choices={unitChoices} onChange={(value) => isUnit(value) && onUnit(value)} />
          <ToggleButtonGroup
            exclusive
            size="small"
            color="primary"
            aria-label="How series are drawn"
            value={stacked ? 'stacked' : 'lines'}
            onChange={(_, value: string | null) => value && onStacked(value === 'stacked')}
          >
            <ToggleButton value="lines" sx={toggle}>
              Lines
            </ToggleButton>
            <ToggleButton value="stacked" sx={toggle}>
              Stacked
            </ToggleButton>
          </ToggleButtonGroup>
        </>
      )}
      <CsvButton run={run} name={fileName(project, environment, run)} />
    </Box>
  );
}

const toggle = { px: 1.25, py: 0.5, height: 32, textTransform: 'none' };

function CsvButton({ run, name }: { run: Run; name: string }) {
  const [busy, setBusy] = useState(false);
  const download = async () => {
    setBusy(true);
    try {
      save(await csvOf(run), name);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      size="small"
      color="inherit"
      variant="outlined"
      startIcon={<DownloadIcon />}
      data-testid="explore-csv"
      aria-label="Download as CSV"
      disabled={busy || !run.outcomes.some(({ body }) => body)}
      onClick={() => void download()}
    >
      CSV
    </Button>
  );
}

function describe(run: Run): string {
  const count = (of: 'series' | 'samples') =>
    run.outcomes.reduce((sum, { range, instant }) => {
      const answer = range ?? instant;
      return sum + (answer ? (of === 'series' ? answer.series.length : answer.samples) : 0);
    }, 0);
  const parts = [`${formatCount(count('series'))} series`, `${formatCount(count('samples'))} samples`, `${formatCount(run.elapsed)} ms`];
  parts.push(run.mode === 'graph' ? `step ${formatDuration(run.grid.step)}` : `at ${formatTime(Math.floor(run.span.end))}`);
  return parts.join(', ');
}
