import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import List from '@mui/material/List';
import ListItemButton from '@mui/material/ListItemButton';
import TextField from '@mui/material/TextField';
import Typography from '@mui/material/Typography';
import { useRef, useState } from 'react';
import { monospace } from '../theme';
import { DropDown } from './DropDown';
import { HistoryIcon } from './icons';
import { clearRecent, loadRecent } from './recent';

interface RecentButtonProps {
  project: string;
  environment: string;
  onPick: (expr: string) => void;
}

/** The queries that ran lately in this environment, to run again. */
export function RecentButton({ project, environment, onPick }: RecentButtonProps) {
  const anchor = useRef<HTMLButtonElement>(null);
  const [recent, setRecent] = useState<string[]>();
  const close = () => setRecent(undefined);
  return (
    <>
      <Button
        ref={anchor}
        size="small"
        color="inherit"
        startIcon={<HistoryIcon />}
        data-testid="explore-recent"
        aria-haspopup="dialog"
        onClick={() => setRecent(loadRecent(project, environment))}
      >
        Recent
      </Button>
      <DropDown anchor={anchor.current} open={recent !== undefined} label="Recent queries" width="min(560px, calc(100vw - 32px))" onClose={close}>
        <RecentList
          recent={recent ?? []}
          onPick={(expr) => {
            close();
            onPick(expr);
          }}
          onClear={() => {
            clearRecent(project, environment);
            setRecent([]);
          }}
        />
      </DropDown>
    </>
  );
}

function RecentList({ recent, onPick, onClear }: { recent: string[]; onPick: (expr: string) => void; onClear: () => void }) {
  const [search, setSearch] = useState('');
  const found = recent.filter((expr) => expr.toLowerCase().includes(search.trim().toLowerCase()));
  if (recent.length === 0) {
    return (
      <Typography color="text.secondary" sx={{ p: 2 }}>
        No queries yet. What you run is kept here, in this browser only.
      </Typography>
    );
  }
  return (
    <Box sx={{ display: 'flex', flexDirection: 'column', maxHeight: 'min(420px, 70vh)' }}>
      <Box sx={{ display: 'flex', gap: 1, p: 1 }}>
        <TextField
          fullWidth
          autoFocus
          size="small"
          placeholder="Search recent queries"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          slotProps={{ htmlInput: { 'aria-label': 'Search recent queries' } }}
        />
        <Button size="small" color="inherit" onClick={onClear}>
          Clear
        </Button>
      </Box>
      <List dense sx={{ overflowY: 'auto', pt: 0 }}>
        {found.map((expr) => (
          <li key={expr}>
            <ListItemButton onClick={() => onPick(expr)} sx={{ fontFamily: monospace, fontSize: 12.5, overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }}>
              {expr}
            </ListItemButton>
          </li>
        ))}
      </List>
      {found.length === 0 && (
        <Typography color="text.secondary" sx={{ px: 2, pb: 2 }}>
          No recent query contains this.
        </Typography>
      )}
    </Box>
  );
}
