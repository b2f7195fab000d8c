import Box from '@mui/material/Box';

/** A line's colour. */
export function Swatch({ colour, hollow = false }: { colour: string; hollow?: boolean }) {
  return (
    <Box
      component="span"
      aria-hidden
      style={hollow ? { boxShadow: `inset 0 0 0 1.5px ${colour}` } : { backgroundColor: colour }}
      sx={{ width: 12, height: 4, borderRadius: '2px', flexShrink: 0, alignSelf: 'center', ...(hollow ? { height: 6 } : {}) }}
    />
  );
}
