import Box from '@mui/material/Box';
import IconButton from '@mui/material/IconButton';
import { forwardRef } from 'react';
import { CloseIcon, EyeIcon } from '../components/icons';
import { positionIn } from './answerError';
import { Editor, type EditorHandle } from './Editor';
import { EyeOffIcon } from './icons';
import { QueryError } from './QueryError';
import { letterOf, type Query } from './state';

interface QueryRowProps {
  index: number;
  query: Query;
  only: boolean;
  project: string;
  environment: string;
  /** The error of the last run, and the text that it is about. */
  failed?: { expr: string; error: unknown };
  onEdit: (index: number, expr: string) => void;
  onRun: () => void;
  onFocus: (index: number) => void;
  onHide: (index: number) => void;
  onRemove: (index: number) => void;
}

/** A query with its letter, and below it what went wrong with it. */
export const QueryRow = forwardRef<EditorHandle, QueryRowProps>(function QueryRow(props, ref) {
  const { index, query, only, project, environment, failed, onEdit, onRun, onFocus, onHide, onRemove } = props;
  const letter = letterOf(index);
  const message = failed?.error instanceof Error && failed.expr === query.expr ? failed.error.message : undefined;
  const at = message === undefined ? undefined : positionIn(message);
  return (
    <Box>
      <Box sx={query.hidden ? { ...frame, borderStyle: 'dashed' } : frame}>
        <Box aria-hidden sx={query.hidden ? { ...badge, textDecoration: 'line-through' } : badge}>
          {letter}
        </Box>
        <Editor
          ref={ref}
          data-testid={`explore-editor-${index}`}
          label={`Query ${letter} in PromQL`}
          value={query.expr}
          errorLine={at?.line}
          errorColumn={at?.column}
          onChange={(expr) => onEdit(index, expr)}
          onFocus={() => onFocus(index)}
          {...{ project, environment, onRun }}
        />
        <Box sx={{ display: 'flex', alignSelf: 'flex-start', p: 0.375 }}>
          <IconButton
            size="small"
            aria-label={`${query.hidden ? 'Show' : 'Hide'} query ${letter}`}
            aria-pressed={query.hidden}
            title={query.hidden ? 'Show' : 'Hide'}
            onClick={() => onHide(index)}
          >
            {query.hidden ? <EyeOffIcon /> : <EyeIcon />}
          </IconButton>
          {!only && (
            <IconButton size="small" aria-label={`Remove query ${letter}`} title="Remove" onClick={() => onRemove(index)}>
              <CloseIcon />
            </IconButton>
          )}
        </Box>
      </Box>
      {failed && <QueryError data-testid={`explore-error-${index}`} error={failed.error} onRetry={onRun} />}
    </Box>
  );
});

const frame = {
  display: 'flex',
  border: '1px solid',
  borderColor: 'divider',
  borderRadius: 1,
  bgcolor: 'background.paper',
  '&:focus-within': { borderColor: 'primary.main', boxShadow: '0 0 0 1px var(--mui-palette-primary-main)' },
};

const badge = {
  width: 32,
  flexShrink: 0,
  display: 'grid',
  placeItems: 'start center',
  pt: '9px',
  fontSize: 13,
  fontWeight: 650,
  color: 'text.secondary',
  bgcolor: 'action.hover',
  borderRight: '1px solid',
  borderColor: 'divider',
  borderRadius: '7px 0 0 7px',
};
