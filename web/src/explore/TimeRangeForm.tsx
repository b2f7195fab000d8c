import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import TextField from '@mui/material/TextField';
import Typography from '@mui/material/Typography';
import { useState, type FormEvent } from 'react';
import { checkedRange, describeDuration, presets, resolve, type TimeRange } from './range';
import { parseTime, toInput } from './time';

interface TimeRangeFormProps {
  range: TimeRange;
  onChange: (range: TimeRange) => void;
}

/** A choice of lengths that end now, or two times. */
export function TimeRangeForm({ range, onChange }: TimeRangeFormProps) {
  return (
    <Box sx={{ display: 'flex', flexDirection: { xs: 'column', sm: 'row' } }}>
      <Box
        sx={{
          p: 1,
          display: 'grid',
          gridAutoFlow: 'column',
          gridTemplateRows: { xs: 'repeat(4, auto)', sm: 'repeat(6, auto)' },
          alignContent: 'start',
          borderStyle: 'solid',
          borderWidth: { xs: '0 0 1px', sm: '0 1px 0 0' },
          borderColor: 'divider',
        }}
      >
        {presets.map((seconds) => {
          const selected = range.kind === 'relative' && range.seconds === seconds;
          return (
            <Button
              key={seconds}
              size="small"
              color={selected ? 'primary' : 'inherit'}
              aria-pressed={selected}
              onClick={() => onChange({ kind: 'relative', seconds })}
              sx={{ justifyContent: 'flex-start', fontWeight: selected ? 650 : 400, bgcolor: selected ? 'action.selected' : undefined, whiteSpace: 'nowrap' }}
            >
              {describeDuration(seconds)}
            </Button>
          );
        })}
      </Box>
      <AbsoluteForm range={range} onChange={onChange} />
    </Box>
  );
}

function AbsoluteForm({ range, onChange }: TimeRangeFormProps) {
  const [span] = useState(() => resolve(range, Date.now() / 1000));
  const [from, setFrom] = useState(toInput(span.start));
  const [to, setTo] = useState(toInput(span.end));
  const [wrong, setWrong] = useState(false);
  const apply = (event: FormEvent) => {
    event.preventDefault();
    const next = checkedRange({ kind: 'absolute', from: parseTime(from) ?? NaN, to: parseTime(to) ?? NaN });
    setWrong(!next);
    if (next) onChange(next);
  };
  const field = (label: string, value: string, set: (value: string) => void) => (
    <TextField
      label={label}
      type="datetime-local"
      size="small"
      value={value}
      error={wrong}
      onChange={(event) => set(event.target.value)}
      slotProps={{ inputLabel: { shrink: true }, htmlInput: { step: 1 } }}
    />
  );
  return (
    <Box component="form" onSubmit={apply} sx={{ p: 2, display: 'flex', flexDirection: 'column', gap: 1.5, minWidth: 240 }}>
      {field('From', from, setFrom)}
      {field('To', to, setTo)}
      {wrong && (
        <Typography role="alert" variant="caption" color="error">
          The second time has to be after the first.
        </Typography>
      )}
      <Button type="submit" variant="outlined">
        Show this range
      </Button>
      <Typography variant="caption" color="text.secondary">
        Times are in {Intl.DateTimeFormat().resolvedOptions().timeZone}.
      </Typography>
    </Box>
  );
}
