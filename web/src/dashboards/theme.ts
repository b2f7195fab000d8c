import { createTheme, type PaletteOptions, type Theme } from '@mui/material/styles';
import { generateChartsTheme, type PersesChartsTheme } from '@perses-dev/components';
import { dark, light, sansSerif, theme as pageTheme } from '../theme';

export type Scheme = 'light' | 'dark';

const white = '#ffffff';

/** From the faintest to the strongest, as Perses' components count them: by night the other way round. */
const greys: Record<Scheme, string[]> = {
  light: ['#f5f6f8', '#eceff2', '#dfe3e8', '#c9d0d8', '#a3aeb9', '#788694', '#56636f', '#414d58', '#2b353f', '#17212b', '#0f151a'],
  dark: ['#10171d', '#1d262e', '#2a353f', '#3a4752', '#56636f', '#788694', '#9eacb8', '#b9c4cd', '#d0d8df', '#e3e9ee', '#f5f6f8'],
};
const steps = [50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950];

function greyOf(scheme: Scheme): Record<number, string> {
  return Object.fromEntries(steps.map((step, index) => [step, greys[scheme][index]!]));
}

/** The page's, with the heights of lines in pixels: Perses' tables count with them. */
const typography = {
  fontFamily: sansSerif,
  fontSize: 14,
  body1: { fontSize: '0.875rem', lineHeight: '20px' },
  body2: { fontSize: '0.8125rem', lineHeight: '18px' },
  caption: { fontSize: '0.75rem', lineHeight: '16px' },
  subtitle1: { fontSize: '0.875rem', fontWeight: 600, lineHeight: '22px' },
  subtitle2: { fontSize: '0.8125rem', fontWeight: 600, lineHeight: '20px' },
  h2: { fontSize: '1rem', fontWeight: 650, lineHeight: '24px' },
  h3: { fontSize: '0.875rem', fontWeight: 600, lineHeight: '20px' },
  h4: { fontSize: '0.875rem', fontWeight: 600, lineHeight: '20px' },
  button: { textTransform: 'none', fontWeight: 600, fontSize: '0.8125rem' },
} as const;

/**
 * Perses' components take colours out of the theme, where the page has variables of its style sheet. So they get a theme
 * of plain colours, one for each scheme, and what they expect beside MUI's own.
 */
export function persesTheme(scheme: Scheme): Theme {
  const own = scheme === 'light' ? light : dark;
  const { MuiButtonBase, MuiButton, MuiChip, MuiLink } = pageTheme.components ?? {};
  const palette = {
    ...own,
    mode: scheme,
    secondary: { main: own.text.secondary, contrastText: own.background.paper },
    grey: greyOf(scheme),
    background: {
      paper: own.background.paper,
      // What panels have inside of them.
      default: own.background.paper,
      navigation: own.background.paper,
      overlay: 'rgba(15, 21, 26, 0.6)',
      code: own.background.default,
      tooltip: scheme === 'light' ? white : '#1d262e',
      lighter: own.background.default,
      border: own.divider,
    },
    text: { ...own.text, navigation: own.text.primary, accent: own.primary.main, link: own.primary.main, linkHover: own.primary.dark },
    // What charts paint their tooltips with: always dark, with white text.
    designSystem: { grey: greyOf('light') },
  } as unknown as PaletteOptions;
  return createTheme({
    palette,
    shape: pageTheme.shape,
    typography,
    components: {
      MuiButtonBase,
      MuiButton,
      MuiChip,
      MuiLink,
      MuiPaper: { styleOverrides: { root: { backgroundImage: 'none' } } },
      // An error is read as a whole, and never scrolled through.
      MuiAlert: { styleOverrides: { message: { overflow: 'visible', overflowWrap: 'anywhere', minWidth: 0 } } },
      // Those of legends have no name of their own.
      MuiCheckbox: { defaultProps: { inputProps: { 'aria-label': 'Show in the chart' } } },
      MuiFormControl: { defaultProps: { size: 'small' } },
      MuiTextField: { defaultProps: { size: 'small' } },
      MuiOutlinedInput: { styleOverrides: { root: { backgroundColor: own.background.paper, borderRadius: 7 } } },
    },
  });
}

/** Colours that differ for most people's eyes, and stand out from the background. */
const seriesColours: Record<Scheme, string[]> = {
  light: ['#0b6478', '#c2570c', '#2b5f9b', '#a2327c', '#1b7443', '#8a5700', '#5b4db3', '#b3261e'],
  dark: ['#6cc5d9', '#efb55c', '#8ab8ee', '#e58ec4', '#62c98e', '#d8c85a', '#b3a6f5', '#ff8b80'],
};

export function persesChartsTheme(theme: Theme): PersesChartsTheme {
  const colours = seriesColours[theme.palette.mode];
  return generateChartsTheme(theme, { echartsTheme: { color: colours, grid: { top: 10 } }, sparkline: { color: colours[0]!, width: 2 } });
}
