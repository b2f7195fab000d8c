import Button from '@mui/material/Button';
import FormControl from '@mui/material/FormControl';
import FormControlLabel from '@mui/material/FormControlLabel';
import FormLabel from '@mui/material/FormLabel';
import Radio from '@mui/material/Radio';
import RadioGroup from '@mui/material/RadioGroup';
import Stack from '@mui/material/Stack';
import TextField from '@mui/material/TextField';
import { useId, useState, type FormEvent } from 'react';
import { useCreateToken } from '../api/tokens';
import type { Environment, TokenSecret } from '../api/types';
import { EnvironmentPicker } from './EnvironmentPicker';
import { ErrorNotice } from './ErrorNotice';
import { SelectField } from './SelectField';
import { durationText } from './time';

const day = 86_400;
const lifetimes = [7, 30, 90, 365].map((days) => ({ value: days * day, label: days === 365 ? '1 year' : durationText(days * day) }));
const maxDescription = 200;

interface TokenFormProps {
  project: string;
  /** The environment whose screen this is; absent: the person chooses one. */
  environment?: string;
  onMade: (made: TokenSecret) => void;
  /** Adds a way out. */
  onCancel?: () => void;
}

/** Makes a token. The narrow scope comes first: a token that leaks should open as little as possible. */
export function TokenForm({ project, environment, onMade, onCancel }: TokenFormProps) {
  const [description, setDescription] = useState('');
  const [lifetimeSeconds, setLifetime] = useState(90 * day);
  const [isNarrow, setNarrow] = useState(true);
  const [chosen, setChosen] = useState<Environment | null>(null);
  const create = useCreateToken(project);
  const scope = isNarrow ? (environment ?? chosen?.name) : undefined;
  const [wasTried, setTried] = useState(false);
  const lacksDescription = description.trim() === '';
  const lacksScope = isNarrow && scope === undefined;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (lacksDescription || lacksScope || create.isLoading) return;
    create.mutate({ description: description.trim(), environment: scope, lifetimeSeconds }, { onSuccess: onMade });
  };
  return (
    <Stack component="form" spacing={2} onSubmit={submit} noValidate aria-label="Make a token">
      <Stack direction={{ xs: 'column', sm: 'row' }} spacing={2}>
        <DescriptionField value={description} onChange={setDescription} isMissing={wasTried && lacksDescription} />
        <SelectField label="Good for" value={lifetimeSeconds} options={lifetimes} onChange={setLifetime} data-testid="token-lifetime" />
      </Stack>
      <ScopeField project={project} environment={environment} isNarrow={isNarrow} onChange={setNarrow} />
      {!environment && isNarrow && (
        <EnvironmentPicker
          label="Environment"
          project={project}
          value={chosen}
          onChange={setChosen}
          problem={wasTried && lacksScope ? 'Choose an environment.' : undefined}
          data-testid="token-environment"
        />
      )}
      {create.error ? <ErrorNotice error={create.error} title="The token was not made" /> : null}
      <Stack direction="row" spacing={1} sx={{ justifyContent: onCancel ? 'flex-end' : 'flex-start' }}>
        {onCancel && (
          <Button color="inherit" onClick={onCancel}>
            Cancel
          </Button>
        )}
        <Button type="submit" variant="contained" data-testid="token-create" disabled={create.isLoading}>
          {create.isLoading ? 'Making the token…' : 'Make a token'}
        </Button>
      </Stack>
    </Stack>
  );
}

interface ScopeFieldProps {
  project: string;
  environment?: string;
  isNarrow: boolean;
  onChange: (isNarrow: boolean) => void;
}

function ScopeField({ project, environment, isNarrow, onChange }: ScopeFieldProps) {
  const id = useId();
  const narrow = environment ? `Only ${environment}` : 'One environment';
  return (
    <FormControl>
      <FormLabel id={id} sx={{ typography: 'body2', fontWeight: 600, color: 'text.primary', '&.Mui-focused': { color: 'text.primary' } }}>
        What it opens
      </FormLabel>
      <RadioGroup aria-labelledby={id} value={isNarrow ? 'one' : 'all'} onChange={(_event, next) => onChange(next === 'one')}>
        <FormControlLabel value="one" control={<Radio size="small" />} label={narrow} data-testid="token-scope-one" />
        <FormControlLabel value="all" control={<Radio size="small" />} label={`Every environment of ${project}`} data-testid="token-scope-all" />
      </RadioGroup>
    </FormControl>
  );
}

function DescriptionField({ value, onChange, isMissing }: { value: string; onChange: (value: string) => void; isMissing: boolean }) {
  return (
    <TextField
      label="What it is for"
      placeholder="Grafana"
      size="small"
      required
      fullWidth
      error={isMissing}
      helperText={isMissing ? 'Say what the token is for, such as Grafana.' : undefined}
      value={value}
      onChange={(event) => onChange(event.target.value)}
      slotProps={{
        htmlInput: { 'data-testid': 'token-description', maxLength: maxDescription, autoComplete: 'off' },
        inputLabel: { required: false, shrink: true },
      }}
    />
  );
}
