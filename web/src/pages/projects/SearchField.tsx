import Box from '@mui/material/Box';
import CircularProgress from '@mui/material/CircularProgress';
import IconButton from '@mui/material/IconButton';
import InputAdornment from '@mui/material/InputAdornment';
import OutlinedInput from '@mui/material/OutlinedInput';
import { useRef } from 'react';
import { CloseIcon, SearchIcon } from '../../components/icons';

interface SearchFieldProps {
  value: string;
  onChange: (value: string) => void;
  isBusy?: boolean;
  /** What is searched for, in words. */
  label?: string;
}

/** Stays in sight while the list scrolls below it. */
export function SearchField({ value, onChange, isBusy, label = 'Search projects and environments' }: SearchFieldProps) {
  const input = useRef<HTMLInputElement>(null);
  const clear = () => {
    onChange('');
    input.current?.focus();
  };
  return (
    <Box role="search" sx={{ position: 'sticky', top: 0, zIndex: 2, py: 1.5, bgcolor: 'background.default' }}>
      <OutlinedInput
        inputRef={input}
        size="small"
        fullWidth
        value={value}
        placeholder={label}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => event.key === 'Escape' && value && clear()}
        inputProps={{ 'data-testid': 'search', 'aria-label': label, autoComplete: 'off', spellCheck: false, enterKeyHint: 'search' }}
        startAdornment={
          <InputAdornment position="start">
            <SearchIcon />
          </InputAdornment>
        }
        endAdornment={
          <InputAdornment position="end" sx={{ gap: 1 }}>
            {isBusy && <CircularProgress size={16} aria-label="Searching" />}
            {value && (
              <IconButton size="small" edge="end" aria-label="Clear the search" onClick={clear}>
                <CloseIcon />
              </IconButton>
            )}
          </InputAdornment>
        }
      />
    </Box>
  );
}
