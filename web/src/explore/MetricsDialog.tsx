import Box from '@mui/material/Box';
import Dialog from '@mui/material/Dialog';
import DialogTitle from '@mui/material/DialogTitle';
import IconButton from '@mui/material/IconButton';
import Skeleton from '@mui/material/Skeleton';
import TextField from '@mui/material/TextField';
import Typography from '@mui/material/Typography';
import useMediaQuery from '@mui/material/useMediaQuery';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { CloseIcon } from '../components/icons';
import { ErrorNotice } from '../components/ErrorNotice';
import { describeMetric, searchMetrics, type Metric } from './metrics';
import { formatCount } from './units';
import { useMetrics } from './useMetrics';

interface MetricsDialogProps {
  project: string;
  environment: string;
  open: boolean;
  onClose: () => void;
  onPick: (name: string) => void;
}

/** All metrics of the environment, with type and help, to put one into the query. */
export function MetricsDialog({ open, onClose, onPick, ...place }: MetricsDialogProps) {
  const phone = useMediaQuery('(max-width: 599.95px)');
  const picked = useRef<string>();
  const pick = (name: string) => {
    picked.current = name;
    onClose();
  };
  // Not before the dialog is gone: until then it keeps the focus for itself.
  const onExited = () => {
    if (picked.current !== undefined) onPick(picked.current);
    picked.current = undefined;
  };
  return (
    <Dialog
      {...{ open, onClose }}
      slotProps={{ transition: { onExited } }}
      fullWidth
      maxWidth="md"
      fullScreen={phone}
      aria-labelledby="explore-metrics-title"
    >
      <Box sx={{ display: 'flex', alignItems: 'center', pr: 1.5 }}>
        <DialogTitle id="explore-metrics-title" variant="h2" sx={{ flex: 1 }}>
          Metrics
        </DialogTitle>
        <IconButton aria-label="Close" onClick={onClose}>
          <CloseIcon />
        </IconButton>
      </Box>
      {open && <Metrics {...place} onPick={pick} />}
    </Dialog>
  );
}

function Metrics({ project, environment, onPick }: Omit<MetricsDialogProps, 'open' | 'onClose'>) {
  const { names, metadata, error, isLoading, retry } = useMetrics(project, environment);
  const [search, setSearch] = useState('');
  const [active, setActive] = useState(0);
  const metrics = useMemo(() => (names ?? []).map((name) => describeMetric(name, metadata)), [names, metadata]);
  const found = useMemo(() => searchMetrics(metrics, search), [metrics, search]);
  const onKeyDown = (event: KeyboardEvent) => {
    const metric = found[active];
    if (event.key === 'ArrowDown') setActive(Math.min(active + 1, found.length - 1));
    else if (event.key === 'ArrowUp') setActive(Math.max(active - 1, 0));
    else if (event.key === 'Enter' && metric) onPick(metric.name);
    else return;
    event.preventDefault();
  };
  return (
    <Box sx={{ px: { xs: 2, sm: 3 }, pb: 2, display: 'flex', flexDirection: 'column', gap: 1, minHeight: 0, height: { xs: '100%', sm: 'min(600px, 75vh)' } }}>
      <TextField
        autoFocus
        fullWidth
        size="small"
        placeholder="Search names and descriptions"
        value={search}
        onKeyDown={onKeyDown}
        onChange={(event) => {
          setSearch(event.target.value);
          setActive(0);
        }}
        slotProps={{
          htmlInput: {
            role: 'combobox',
            'aria-label': 'Search metrics',
            'aria-expanded': true,
            'aria-controls': 'explore-metrics',
            'aria-autocomplete': 'list',
            'aria-activedescendant': found.length > 0 ? `explore-metric-${active}` : undefined,
          },
        }}
      />
      {error ? <ErrorNotice error={error} onRetry={retry} /> : null}
      {isLoading && [0, 1, 2, 3, 4].map((at) => <Skeleton key={at} height={44} />)}
      {names && (
        <Typography variant="caption" color="text.secondary" role="status">
          {formatCount(found.length)} of {formatCount(metrics.length)} metrics of the last hour
        </Typography>
      )}
      <MetricList metrics={found} active={active} onPick={onPick} />
    </Box>
  );
}

const rowHeight = 50;

function MetricList({ metrics, active, onPick }: { metrics: Metric[]; active: number; onPick: (name: string) => void }) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: metrics.length, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 8 });
  useEffect(() => {
    if (active < metrics.length) rows.scrollToIndex(active);
  }, [rows, active, metrics.length]);
  return (
    <Box ref={scroller} id="explore-metrics" role="listbox" aria-label="Metrics" tabIndex={-1} sx={{ flex: 1, overflowY: 'auto', mx: -1 }}>
      <Box role="presentation" sx={{ position: 'relative' }} style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => (
          <MetricRow key={index} metric={metrics[index]!} index={index} active={index === active} top={start} onPick={onPick} />
        ))}
      </Box>
    </Box>
  );
}

interface MetricRowProps {
  metric: Metric;
  index: number;
  active: boolean;
  top: number;
  onPick: (name: string) => void;
}

function MetricRow({ metric, index, active, top, onPick }: MetricRowProps) {
  return (
    <Box
      role="option"
      id={`explore-metric-${index}`}
      aria-selected={active}
      onClick={() => onPick(metric.name)}
      style={{ height: rowHeight, transform: `translateY(${top}px)` }}
      sx={{
        position: 'absolute',
        insetInline: 0,
        top: 0,
        px: 1,
        py: 0.5,
        borderRadius: 0.75,
        cursor: 'pointer',
        bgcolor: active ? 'action.selected' : undefined,
        '&:hover': { bgcolor: active ? 'action.selected' : 'action.hover' },
      }}
    >
      <Box sx={{ display: 'flex', gap: 1.5, alignItems: 'baseline', minWidth: 0 }}>
        <Typography noWrap title={metric.name} sx={{ fontWeight: 600, minWidth: 0 }}>
          {metric.name}
        </Typography>
        <Typography variant="caption" color="text.secondary">
          {metric.type}
        </Typography>
      </Box>
      <Typography variant="caption" color="text.secondary" noWrap component="p" title={metric.help}>
        {metric.help || 'No description'}
      </Typography>
    </Box>
  );
}
