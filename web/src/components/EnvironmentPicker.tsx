import Autocomplete from '@mui/material/Autocomplete';
import Box from '@mui/material/Box';
import TextField from '@mui/material/TextField';
import { useId, useState, type ReactNode } from 'react';
import { useEnvironmentChoices } from '../api/environments';
import type { Environment } from '../api/types';
import { errorSentence } from './errorSentence';
import { ChevronDownIcon } from './icons';
import { useDebounced } from './useDebounced';

interface EnvironmentPickerProps {
  label: string;
  /** Only the environments of this one; absent: of every project. */
  project?: string;
  value: Environment | null;
  /** null: the field was emptied. */
  onChange: (environment: Environment | null) => void;
  /** Shows the label inside the empty field, and nowhere else. */
  isCompact?: boolean;
  /** What is wrong with the choice. */
  problem?: string;
  'data-testid'?: string;
}

/** Chooses one of the caller's environments. There may be thousands: the gateway searches. */
export function EnvironmentPicker({ label, project, value, onChange, isCompact, problem, ...rest }: EnvironmentPickerProps) {
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(false);
  const search = useDebounced(text.trim());
  const { data, error, isFetching } = useEnvironmentChoices(search, project, isOpen);
  const emptyText = error ? errorSentence(error) : 'No environment matches';
  return (
    <Autocomplete
      size="small"
      fullWidth
      open={isOpen}
      onOpen={() => setOpen(true)}
      onClose={() => setOpen(false)}
      value={value}
      onChange={(_event, chosen) => onChange(chosen)}
      // The text of the chosen one is no search.
      onInputChange={(_event, next, reason) => setText(reason === 'input' ? next : '')}
      options={data?.environments ?? []}
      filterOptions={(options) => options}
      getOptionLabel={(option) => option.name}
      getOptionKey={(option) => `${option.project}/${option.name}`}
      isOptionEqualToValue={(option, chosen) => option.project === chosen.project && option.name === chosen.name}
      groupBy={project === undefined ? (option) => option.project : undefined}
      loading={isFetching}
      loadingText="Searching…"
      noOptionsText={emptyText}
      renderGroup={({ key, group, children }) => (
        <Group key={key} name={group}>
          {children}
        </Group>
      )}
      slotProps={{ listbox: { 'aria-label': label } }}
      popupIcon={<ChevronDownIcon />}
      blurOnSelect
      clearOnBlur
      renderInput={(parameters) => (
        <TextField
          {...parameters}
          error={problem !== undefined}
          helperText={problem}
          label={isCompact ? undefined : label}
          placeholder={isCompact ? label : undefined}
          inputProps={{ ...parameters.inputProps, 'data-testid': rest['data-testid'], ...(isCompact && { 'aria-label': label }) }}
        />
      )}
    />
  );
}

/** The usual groups of the list have roles that do not fit together; here is a group that says its name. */
function Group({ name, children }: { name: string; children?: ReactNode }) {
  const id = useId();
  return (
    <Box component="li" role="presentation" sx={{ listStyle: 'none' }}>
      <Box id={id} sx={{ px: 2, pt: 1, pb: 0.25, typography: 'caption', fontWeight: 600, color: 'text.secondary' }}>
        {name}
      </Box>
      <Box component="ul" role="group" aria-labelledby={id} sx={{ m: 0, p: 0 }}>
        {children}
      </Box>
    </Box>
  );
}
