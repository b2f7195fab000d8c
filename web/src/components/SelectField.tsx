import TextField from '@mui/material/TextField';
import { useId } from 'react';

interface SelectFieldProps {
  label: string;
  value: number;
  options: { value: number; label: string }[];
  onChange: (value: number) => void;
  'data-testid'?: string;
}

/** One of a few numbers, such as times in seconds, in the select of the system: the best there is on a phone. */
export function SelectField({ label, value, options, onChange, ...rest }: SelectFieldProps) {
  const id = useId();
  return (
    <TextField
      select
      id={id}
      label={label}
      size="small"
      value={value}
      onChange={(event) => onChange(Number(event.target.value))}
      slotProps={{ select: { native: true }, htmlInput: { 'data-testid': rest['data-testid'] }, inputLabel: { shrink: true } }}
      sx={{ minWidth: 150 }}
    >
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </TextField>
  );
}
