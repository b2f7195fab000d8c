import NativeSelect from '@mui/material/NativeSelect';
import OutlinedInput from '@mui/material/OutlinedInput';

interface NativeChoiceProps {
  label: string;
  value: string;
  choices: { value: string; title: string }[];
  onChange: (value: string) => void;
  'data-testid'?: string;
}

/** A small select, the browser's own: on a phone and with a keyboard it works best. */
export function NativeChoice({ label, value, choices, onChange, ...rest }: NativeChoiceProps) {
  const known = choices.some((choice) => choice.value === value) ? choices : [...choices, { value, title: value }];
  return (
    <NativeSelect
      value={value}
      onChange={(event) => onChange(event.target.value)}
      input={<OutlinedInput size="small" />}
      inputProps={{ 'aria-label': label, title: label, ...rest }}
      sx={{ fontSize: 13, height: 32, minWidth: 0, flexShrink: 1, '& select': { py: 0.5 }, '& option': { color: 'text.primary', bgcolor: 'background.paper' } }}
    >
      {known.map((choice) => (
        <option key={choice.value} value={choice.value}>
          {choice.title}
        </option>
      ))}
    </NativeSelect>
  );
}
