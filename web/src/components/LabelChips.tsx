import Box from '@mui/material/Box';

interface LabelChipsProps {
  labels: Record<string, string[]>;
  /** How many to show at most; the others are counted. */
  max?: number;
  /** Whether they share one line, and get shorter for it. */
  isOneLine?: boolean;
}

/** The labels that answers are narrowed to. */
export function LabelChips({ labels, max = Infinity, isOneLine }: LabelChipsProps) {
  const entries = Object.entries(labels).map(([name, values]) => `${name} = ${values.join(', ')}`);
  if (entries.length === 0) return null;
  const hidden = entries.slice(max);
  return (
    <Box component="span" sx={{ display: 'inline-flex', flexWrap: isOneLine ? 'nowrap' : 'wrap', gap: 0.5, minWidth: 0, maxWidth: '100%' }}>
      {entries.slice(0, max).map((text) => (
        <Chip key={text} text={text} title={`Answers are narrowed to ${text}`} />
      ))}
      {hidden.length > 0 && <Chip text={`+${hidden.length}`} title={hidden.join('\n')} isCount />}
    </Box>
  );
}

function Chip({ text, title, isCount }: { text: string; title: string; isCount?: boolean }) {
  return (
    <Box
      component="span"
      title={title}
      sx={{
        px: 0.75,
        borderRadius: 0.75,
        border: '1px solid',
        borderColor: 'divider',
        bgcolor: 'background.default',
        color: 'text.secondary',
        fontSize: '0.75rem',
        lineHeight: '20px',
        flexShrink: isCount ? 0 : 1,
        minWidth: 0,
        maxWidth: 240,
        overflow: 'hidden',
        textOverflow: 'ellipsis',
        whiteSpace: 'nowrap',
      }}
    >
      {text}
    </Box>
  );
}
