import Box, { type BoxProps } from '@mui/material/Box';
import Typography from '@mui/material/Typography';
import type { KeyboardEvent, ReactNode } from 'react';
import { Link } from 'react-router-dom';
import type { DashboardSummary } from '../api/types';
import { ChevronDownIcon, ChevronRightIcon, DashboardIcon, FolderIcon, WarningIcon } from '../components/icons';
import { dashboardScreen } from '../components/paths';
import { countText } from '../components/quantity';
import { dateTimeText, timeSince } from '../components/time';
import { useNow } from '../components/useNow';
import { countDashboards, type Row } from './tree';

/** The id of a row's element. */
export function rowId(nodeId: string): string {
  return `dashboards-${encodeURIComponent(nodeId)}`;
}

interface TreeRowProps {
  project: string;
  row: Row;
  index: number;
  measure: (element: HTMLElement | null) => void;
  isTabStop: boolean;
  /** How far below the beginning of the list it stands, in pixels. */
  offset: number;
  onFocus: () => void;
  onToggle: () => void;
}

export function TreeRow({ project, row, index, measure, isTabStop, offset, onFocus, onToggle }: TreeRowProps) {
  const { node, level, position, siblings, isOpen } = row;
  const common = {
    ref: measure,
    id: rowId(node.id),
    role: 'treeitem',
    'aria-level': level,
    'aria-posinset': position,
    'aria-setsize': siblings,
    'data-index': index,
    tabIndex: isTabStop ? 0 : -1,
    onFocus,
    style: { transform: `translateY(${offset}px)`, paddingLeft: 12 + (level - 1) * 22 },
    sx: rowStyle(index > 0),
  } as const;
  if (node.kind === 'folder') {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      onToggle();
    };
    return (
      <Box {...common} aria-expanded={isOpen} onClick={onToggle} onKeyDown={onKeyDown} data-testid={`folder-${node.title}`}>
        {isOpen ? <ChevronDownIcon /> : <ChevronRightIcon />}
        <FolderIcon sx={{ color: 'primary.main' }} />
        <Name isStrong>{node.title}</Name>
        <Typography variant="body2" noWrap sx={{ color: 'text.secondary', flexShrink: 0 }}>
          {countText(countDashboards(node.children), 'dashboard')}
        </Typography>
      </Box>
    );
  }
  if (node.kind === 'missing') {
    return (
      <Box {...common} data-testid={`missing-${node.name}`}>
        <Gap />
        <WarningIcon sx={{ color: 'warning.main' }} />
        <Name>{node.name}</Name>
        <Typography variant="body2" noWrap sx={{ color: 'text.secondary', minWidth: 0 }}>
          The folder names it, but it is not deployed
        </Typography>
      </Box>
    );
  }
  const { dashboard } = node;
  return (
    <Box {...common} component={Link} to={dashboardScreen(project, dashboard.name)} data-testid={`dashboard-${dashboard.name}`}>
      <Gap />
      <DashboardIcon sx={{ color: 'text.secondary' }} />
      <Name isStrong>{dashboard.title}</Name>
      <About dashboard={dashboard} />
    </Box>
  );
}

function rowStyle(hasLine: boolean): BoxProps['sx'] {
  return {
    position: 'absolute',
    top: 0,
    left: 0,
    right: 0,
    display: 'flex',
    alignItems: 'center',
    gap: 1,
    minHeight: 45,
    py: 0.75,
    pr: 2,
    color: 'text.primary',
    textDecoration: 'none',
    cursor: 'pointer',
    borderTop: hasLine ? '1px solid' : 0,
    borderColor: 'divider',
    '&:hover': { bgcolor: 'action.hover' },
    '&:focus-visible': { outlineOffset: '-2px', borderRadius: 1 },
    '& svg': { fontSize: 18, flexShrink: 0 },
  };
}

/** Stands where a folder has its arrow. */
function Gap() {
  return <Box component="span" sx={{ width: 18, flexShrink: 0 }} />;
}

function Name({ children, isStrong }: { children: string; isStrong?: boolean }) {
  return (
    <Typography component="span" noWrap title={children} sx={{ fontWeight: isStrong ? 600 : 400, minWidth: 0, flexShrink: 1 }}>
      {children}
    </Typography>
  );
}

/** What tells one dashboard from another, as far as there is room. */
function About({ dashboard: { description, tags, updatedAt } }: { dashboard: DashboardSummary }) {
  const now = useNow(30_000);
  return (
    <>
      <Typography component="span" variant="body2" noWrap title={description} sx={{ color: 'text.secondary', minWidth: 0, flex: '1 10 0', display: { xs: 'none', md: 'block' } }}>
        {description}
      </Typography>
      <Box component="span" sx={{ ml: 'auto', display: { xs: 'none', sm: 'flex' }, gap: 0.5, flexShrink: 0, maxWidth: '40%', overflow: 'hidden' }}>
        {tags.map((tag) => (
          <Tag key={tag}>{tag}</Tag>
        ))}
      </Box>
      <Typography component="span" variant="body2" title={dateTimeText(updatedAt)} noWrap sx={{ color: 'text.secondary', flexShrink: 0, ml: { xs: 'auto', sm: 1 } }}>
        {timeSince(updatedAt, now)}
      </Typography>
    </>
  );
}

function Tag({ children }: { children: ReactNode }) {
  return (
    <Box
      component="span"
      sx={{ px: 0.75, borderRadius: 0.75, border: '1px solid', borderColor: 'divider', color: 'text.secondary', bgcolor: 'background.default', fontSize: '0.75rem', lineHeight: '20px', whiteSpace: 'nowrap' }}
    >
      {children}
    </Box>
  );
}
