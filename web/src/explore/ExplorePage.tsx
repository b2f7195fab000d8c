import { useQueryClient } from '@tanstack/react-query';
import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Paper from '@mui/material/Paper';
import Stack from '@mui/material/Stack';
import { useCallback, useRef, useState } from 'react';
import { useParams } from 'react-router-dom';
import { onUnauthorized } from '../api/session';
import { PlusIcon } from '../components/icons';
import type { EditorHandle } from './Editor';
import { EmptyState } from './EmptyState';
import { ListIcon } from './icons';
import { MetricsDialog } from './MetricsDialog';
import { QueryRow } from './QueryRow';
import { addRecent } from './recent';
import { RecentButton } from './RecentButton';
import { ResultPanel } from './ResultPanel';
import type { Run } from './run';
import { maxQueries, runKey } from './state';
import { Toolbar } from './Toolbar';
import { useAutoRefresh } from './useAutoRefresh';
import { useExploreState } from './useExploreState';
import { useRun } from './useRun';

interface Place {
  project: string;
  environment: string;
}

/** Queries an environment, as a chart or a table. */
export default function ExplorePage() {
  const { project = '', environment = '' } = useParams();
  return <Explore key={`${project}/${environment}`} project={project} environment={environment} />;
}

function Explore(place: Place) {
  const explore = useExploreState();
  const { state, count, ask, show, refresh } = explore;
  const panel = useRef<HTMLDivElement>(null);
  const [browsing, setBrowsing] = useState(false);
  const editors = useEditors();
  const asked = state.queries.some(({ expr, hidden }) => !hidden && expr.trim() !== '');
  const onDone = useDone(place);
  const { run, loading, cancelled, cancel } = useRun(
    asked ? { ...place, ...state } : undefined,
    asked ? runKey(state) : '',
    count,
    () => panel.current?.clientWidth ?? 1000,
    onDone,
  );
  useAutoRefresh(asked ? state.refresh : 0, loading, refresh);

  const put = (expr: string) => {
    const index = editors.focused(explore.drafts.length);
    ask({ queries: explore.drafts.map((query, at) => (at === index ? { expr, hidden: false } : query)) });
  };
  return (
    <Stack spacing={1.5} sx={{ pt: 1.5, pb: 2.5 }}>
      <Paper variant="outlined" sx={{ p: { xs: 1.25, sm: 1.5 }, pb: { xs: 0.75, sm: 0.75 } }}>
        <Stack spacing={1}>
          <Toolbar
            state={state}
            loading={loading}
            onMode={(mode) => ask({ mode })}
            onRange={(range) => ask({ range })}
            onStep={(step) => ask({ step })}
            onRefreshEvery={(seconds) => show({ refresh: seconds })}
            onRefresh={refresh}
            onRun={() => ask()}
            onCancel={cancel}
          />
          <Queries place={place} explore={explore} editors={editors} run={run} />
          <Actions place={place} full={explore.drafts.length >= maxQueries} onAdd={() => explore.add()} onBrowse={() => setBrowsing(true)} onPick={put} />
        </Stack>
      </Paper>
      <Box ref={panel}>
        {asked || state.queries.some(({ expr }) => expr.trim() !== '') ? (
          <ResultPanel {...{ ...place, state, run, loading, cancelled }} onShow={show} onRange={(range) => ask({ range })} />
        ) : (
          <Paper variant="outlined">
            <EmptyState {...place} onPick={put} onBrowse={() => setBrowsing(true)} />
          </Paper>
        )}
      </Box>
      <MetricsDialog
        {...place}
        open={browsing}
        onClose={() => setBrowsing(false)}
        onPick={(name) => editors.insert(name, explore.drafts.length)}
      />
    </Stack>
  );
}

/** After a run: remembers what worked, and tells the page where the session has ended. */
function useDone({ project, environment }: Place) {
  const client = useQueryClient();
  return useCallback(
    (run: Run) => {
      for (const { error } of run.outcomes) if (error !== undefined) onUnauthorized(client, error);
      addRecent(
        project,
        environment,
        run.outcomes.flatMap(({ expr, error }) => (error === undefined ? [expr] : [])),
      );
    },
    [client, project, environment],
  );
}

/** The editors, and which of them had the focus last. */
function useEditors() {
  const handles = useRef<(EditorHandle | null)[]>([]);
  const last = useRef(0);
  const focused = (total: number) => Math.min(last.current, total - 1);
  return {
    register: (index: number) => (handle: EditorHandle | null) => {
      handles.current[index] = handle;
    },
    onFocus: (index: number) => {
      last.current = index;
    },
    focused,
    insert: (text: string, total: number) => handles.current[focused(total)]?.insert(text),
  };
}

interface QueriesProps {
  place: Place;
  explore: ReturnType<typeof useExploreState>;
  editors: ReturnType<typeof useEditors>;
  run: Run | undefined;
}

function Queries({ place, explore, editors, run }: QueriesProps) {
  const { drafts, ask, edit, toggleHidden, remove } = explore;
  return (
    <Stack spacing={1}>
      {drafts.map((query, index) => (
        <QueryRow
          key={index}
          ref={editors.register(index)}
          {...{ ...place, index, query }}
          only={drafts.length === 1}
          failed={run?.outcomes.find((outcome) => outcome.query === index && outcome.error !== undefined) as { expr: string; error: unknown } | undefined}
          onEdit={edit}
          onRun={() => ask()}
          onFocus={editors.onFocus}
          onHide={toggleHidden}
          onRemove={remove}
        />
      ))}
    </Stack>
  );
}

interface ActionsProps {
  place: Place;
  full: boolean;
  onAdd: () => void;
  onBrowse: () => void;
  onPick: (expr: string) => void;
}

function Actions({ place, full, onAdd, onBrowse, onPick }: ActionsProps) {
  return (
    <Box sx={{ display: 'flex', flexWrap: 'wrap', gap: 0.5 }}>
      <Button size="small" color="inherit" startIcon={<PlusIcon />} data-testid="explore-add-query" disabled={full} onClick={onAdd}>
        Add query
      </Button>
      <Button size="small" color="inherit" startIcon={<ListIcon />} onClick={onBrowse}>
        Metrics
      </Button>
      <RecentButton {...place} onPick={onPick} />
    </Box>
  );
}
