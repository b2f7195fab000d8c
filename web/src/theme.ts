import { createTheme } from '@mui/material/styles';
import type {} from '@mui/material/themeCssVarsAugmentation';

/** For code, tokens and addresses. */
export const monospace = 'ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace';

export const sansSerif = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';

const focusRing = { outline: '2px solid var(--mui-palette-primary-main)', outlineOffset: 2 };

/** The colours by day. */
export const light = {
  primary: { main: '#0b6478', dark: '#084d5d', light: '#3f8798', contrastText: '#ffffff' },
  success: { main: '#1b7443', contrastText: '#ffffff' },
  error: { main: '#b3261e', contrastText: '#ffffff' },
  warning: { main: '#8a5700', contrastText: '#ffffff' },
  info: { main: '#2b5f9b', contrastText: '#ffffff' },
  background: { default: '#f5f6f8', paper: '#ffffff' },
  text: { primary: '#17212b', secondary: '#56636f', disabled: '#8b96a1' },
  divider: '#dfe3e8',
  action: { hover: 'rgba(23, 33, 43, 0.045)', selected: 'rgba(11, 100, 120, 0.09)' },
};

/** The colours by night. */
export const dark = {
  primary: { main: '#6cc5d9', dark: '#8fd4e3', light: '#4aa9be', contrastText: '#06222a' },
  success: { main: '#62c98e', contrastText: '#06240f' },
  error: { main: '#ff8b80', contrastText: '#2d0502' },
  warning: { main: '#efb55c', contrastText: '#2a1a00' },
  info: { main: '#8ab8ee', contrastText: '#04203f' },
  background: { default: '#0f151a', paper: '#161e25' },
  text: { primary: '#e3e9ee', secondary: '#9eacb8', disabled: '#6d7a86' },
  divider: '#2a353f',
  action: { hover: 'rgba(227, 233, 238, 0.06)', selected: 'rgba(108, 197, 217, 0.14)' },
};

/** Light and dark follow the system by a media query alone, so there is nothing to flash and nothing to store. */
export const theme = createTheme({
  cssVariables: { colorSchemeSelector: 'media' },
  colorSchemes: { light: { palette: light }, dark: { palette: dark } },
  shape: { borderRadius: 8 },
  typography: {
    fontFamily: sansSerif,
    fontSize: 14,
    body1: { fontSize: '0.875rem', lineHeight: 1.55 },
    body2: { fontSize: '0.8125rem', lineHeight: 1.5 },
    caption: { fontSize: '0.75rem', lineHeight: 1.45 },
    h1: { fontSize: '1.375rem', lineHeight: 1.3, fontWeight: 650, letterSpacing: '-0.012em' },
    h2: { fontSize: '1rem', lineHeight: 1.4, fontWeight: 650, letterSpacing: '-0.006em' },
    h3: { fontSize: '0.875rem', lineHeight: 1.45, fontWeight: 600 },
    button: { textTransform: 'none', fontWeight: 600, fontSize: '0.8125rem', letterSpacing: 0 },
  },
  components: {
    MuiCssBaseline: {
      styleOverrides: {
        // Always there, so that no screen is narrower than another.
        html: { overflowY: 'scroll' },
        '*:focus-visible': focusRing,
        'h1[tabindex="-1"]:focus': { outline: 'none' },
        code: { fontFamily: monospace, fontSize: '0.92em' },
        '@media (prefers-reduced-motion: reduce)': {
          '*, *::before, *::after': {
            animationDuration: '0.01ms !important',
            animationIterationCount: '1 !important',
            transitionDuration: '0.01ms !important',
            scrollBehavior: 'auto !important',
          },
        },
      },
    },
    MuiButtonBase: {
      defaultProps: { disableRipple: true },
      styleOverrides: { root: { '&.Mui-focusVisible': focusRing } },
    },
    MuiButton: {
      defaultProps: { disableElevation: true },
      styleOverrides: {
        root: { borderRadius: 7, minHeight: 36, paddingInline: 14 },
        sizeSmall: { minHeight: 32, paddingInline: 10, fontSize: '0.8125rem' },
        outlinedInherit: { borderColor: 'var(--mui-palette-divider)' },
      },
    },
    MuiPaper: { styleOverrides: { root: { backgroundImage: 'none' } } },
    MuiOutlinedInput: {
      styleOverrides: {
        root: { backgroundColor: 'var(--mui-palette-background-paper)', borderRadius: 7 },
        input: { '&:focus-visible': { outline: 'none' }, '&::placeholder': { color: 'var(--mui-palette-text-secondary)', opacity: 1 } },
      },
    },
    MuiChip: { styleOverrides: { root: { borderRadius: 6 } } },
    MuiDialog: { styleOverrides: { paper: { borderRadius: 12, border: '1px solid var(--mui-palette-divider)' } } },
    MuiSkeleton: { styleOverrides: { root: { backgroundColor: 'var(--mui-palette-action-hover)' } } },
    MuiLink: { defaultProps: { underline: 'hover' } },
  },
});
