import Box from '@mui/material/Box';
import Button from '@mui/material/Button';
import Stack from '@mui/material/Stack';
import Tab from '@mui/material/Tab';
import Tabs from '@mui/material/Tabs';
import Typography from '@mui/material/Typography';
import { useId, useState } from 'react';
import type { Provisioning, Snippet } from '../../api/types';
import { CodeBlock } from '../../components/CodeBlock';
import { CopyButton } from '../../components/CopyButton';
import { downloadText } from '../../components/download';
import { DownloadIcon } from '../../components/icons';
import { fillPlaceholder, joinPieces, type Piece } from '../../components/placeholder';

export function Snippets({ provisioning, secret }: { provisioning: Provisioning; secret?: string }) {
  const { snippets, placeholder } = provisioning;
  const [kind, setKind] = useState(snippets[0]?.kind);
  const id = useId();
  return (
    <>
      <Tabs
        value={kind ?? false}
        onChange={(_event, next: Snippet['kind']) => setKind(next)}
        variant="scrollable"
        scrollButtons="auto"
        allowScrollButtonsMobile
        aria-label="Kind of client"
        sx={{ minHeight: 40, borderBottom: '1px solid', borderColor: 'divider', '& .MuiTabs-scrollButtons': { width: 28 } }}
      >
        {snippets.map((snippet) => (
          <Tab
            key={snippet.kind}
            value={snippet.kind}
            label={snippet.title}
            id={`${id}-tab-${snippet.kind}`}
            aria-controls={`${id}-${snippet.kind}`}
            data-testid={`snippet-tab-${snippet.kind}`}
            sx={{ minHeight: 40, minWidth: 0, px: 1.5, '&.Mui-focusVisible': { outlineOffset: '-2px' } }}
          />
        ))}
      </Tabs>
      {snippets.map((snippet) => (
        <Box
          key={snippet.kind}
          role="tabpanel"
          id={`${id}-${snippet.kind}`}
          aria-labelledby={`${id}-tab-${snippet.kind}`}
          hidden={snippet.kind !== kind}
        >
          <SnippetView snippet={snippet} pieces={fillPlaceholder(snippet.text, placeholder, secret)} isFilled={secret !== undefined} />
        </Box>
      ))}
    </>
  );
}

function SnippetView({ snippet, pieces, isFilled }: { snippet: Snippet; pieces: Piece[]; isFilled: boolean }) {
  const { title, description, file, kind } = snippet;
  return (
    <Stack spacing={1.25} sx={{ pt: 1.5 }}>
      <Stack direction="row" sx={{ flexWrap: 'wrap', alignItems: 'center', columnGap: 2, rowGap: 1 }}>
        <Typography sx={{ flex: '1 1 260px', color: 'text.secondary' }}>{description}</Typography>
        <Stack direction="row" spacing={1}>
          {file && (
            <Button
              size="small"
              variant="outlined"
              color="inherit"
              startIcon={<DownloadIcon />}
              aria-label={`Download ${file}`}
              onClick={() => downloadText(file, joinPieces(pieces))}
            >
              Download
            </Button>
          )}
          <CopyButton text={() => joinPieces(pieces)} what={`the snippet for ${title}`} />
        </Stack>
      </Stack>
      <CodeBlock label={`${title}: ${file ?? 'command'}`} data-testid={`snippet-${kind}`}>
        {pieces.map(({ text, isToken }, index) => (isToken ? <TokenMark key={index} text={text} isFilled={isFilled} /> : text))}
      </CodeBlock>
    </Stack>
  );
}

function TokenMark({ text, isFilled }: { text: string; isFilled: boolean }) {
  const color = isFilled ? 'success' : 'warning';
  return (
    <Box
      component="mark"
      sx={(theme) => ({
        px: 0.25,
        borderRadius: 0.5,
        fontWeight: 600,
        color: `${color}.main`,
        bgcolor: `rgba(${theme.vars.palette[color].mainChannel} / 0.12)`,
      })}
    >
      {text}
    </Box>
  );
}
