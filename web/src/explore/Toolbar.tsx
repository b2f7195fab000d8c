import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import IconButton from '@mui/material/IconButton';
import ToggleButton from '@mui/material/ToggleButton';
import ToggleButtonGroup from '@mui/material/ToggleButtonGroup';
import { RefreshIcon } from '../components/icons';
import { PlayIcon, StopIcon } from './icons';
import { NativeChoice } from './NativeChoice';
import { formatDuration, parseDuration, stepChoices, type TimeRange } from './range';
import { refreshChoices, type ExploreState, type Mode } from './state';
import { TimeRangeButton } from './TimeRangeButton';

interface ToolbarProps {
  state: ExploreState;
  loading: boolean;
  onMode: (mode: Mode) => void;
  onRange: (range: TimeRange) => void;
  onStep: (step: number | undefined) => void;
  onRefreshEvery: (seconds: number) => void;
  onRefresh: () => void;
  onRun: () => void;
  onCancel: () => void;
}

const stepTitle = (step: string) => ({ value: step, title: `Step: ${step || 'auto'}` });
const steps = ['', ...stepChoices.map(formatDuration)].map(stepTitle);
const intervals = refreshChoices.map((seconds) => ({ value: String(seconds), title: seconds === 0 ? 'Refresh: off' : `Each ${formatDuration(seconds)}` }));

/** How and for when the queries are asked. */
export function Toolbar({ state, loading, onMode, onRange, onStep, onRefreshEvery, onRefresh, onRun, onCancel }: ToolbarProps) {
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 1, alignItems: 'center' }}>
      <ToggleButtonGroup
        exclusive
        size="small"
        color="primary"
        aria-label="View"
        value={state.mode}
        onChange={(_, mode: Mode | null) => mode && onMode(mode)}
        sx={{ order: { xs: -2, sm: 0 } }}
      >
        <ToggleButton value="graph" data-testid="explore-mode-graph" sx={toggle}>
          Graph
        </ToggleButton>
        <ToggleButton value="table" data-testid="explore-mode-table" sx={toggle}>
          Table
        </ToggleButton>
      </ToggleButtonGroup>
      <TimeRangeButton range={state.range} onChange={onRange} />
      <NativeChoice
        label="Step"
        data-testid="explore-step"
        value={state.step === undefined ? '' : formatDuration(state.step)}
        choices={steps}
        onChange={(value) => onStep(parseDuration(value))}
      />
      <Box sx={{ display: 'flex', alignItems: 'center', gap: 0.5, ml: 'auto' }}>
        <IconButton size="small" aria-label="Refresh now" title="Refresh now" onClick={onRefresh}>
          <RefreshIcon />
        </IconButton>
        <NativeChoice label="Refresh automatically" value={String(state.refresh)} choices={intervals} onChange={(value) => onRefreshEvery(Number(value))} />
      </Box>
      <Box sx={{ display: 'flex', alignItems: 'center', gap: 0.5, ml: { xs: 'auto', sm: 0 }, order: { xs: -1, sm: 0 } }}>
        <IconButton size="small" aria-label="Cancel the run" title="Cancel" disabled={!loading} onClick={onCancel}>
          <StopIcon />
        </IconButton>
        <Button variant="contained" size="small" startIcon={<PlayIcon />} data-testid="explore-run" onClick={onRun}>
          Run
        </Button>
      </Box>
    </Box>
  );
}

const toggle = { px: 1.5, py: 0.5, height: 32, textTransform: 'none' };
