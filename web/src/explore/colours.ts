import { useColorScheme, useTheme, type Palette } from '@mui/material/styles';

/** Eight hues that stay apart for colour-blind readers too, in an order in which neighbours differ most. */
const hues = {
  light: ['#2a78d6', '#eb6834', '#1b9e77', '#b8860b', '#d6568c', '#3d7a0a', '#5b47b8', '#d03b3b'],
  dark: ['#5aa2f2', '#f0834f', '#35bf94', '#dba52f', '#ea7fae', '#7fb84b', '#a497f2', '#f07f7f'],
};

export interface ChartColours {
  dark: boolean;
  text: string;
  grid: string;
  paper: string;
  accent: string;
}

/** The theme's colours as such: a canvas knows no CSS variables. */
export function useChartColours(): ChartColours {
  const theme = useTheme();
  const { colorScheme } = useColorScheme();
  const scheme = colorScheme ?? theme.palette.mode;
  const schemes = theme.colorSchemes as Partial<Record<string, { palette?: Palette }>> | undefined;
  const palette = schemes?.[scheme]?.palette ?? theme.palette;
  return {
    dark: scheme === 'dark',
    text: palette.text.secondary,
    grid: palette.divider,
    paper: palette.background.paper,
    accent: palette.primary.main,
  };
}

/** The colour of a series by its place in the answer; after eight the same hues come again, paler or deeper. */
export function seriesColour(index: number, dark: boolean): string {
  const list = dark ? hues.dark : hues.light;
  const hue = list[index % list.length] ?? '#888888';
  const round = Math.floor(index / list.length) % 3;
  if (round === 0) return hue;
  return mix(hue, round === 1 ? '#ffffff' : '#000000', round === 1 ? 0.35 : 0.3);
}

function mix(colour: string, other: string, amount: number): string {
  const channels = [1, 3, 5].map((at) => {
    const from = parseInt(colour.slice(at, at + 2), 16);
    const to = parseInt(other.slice(at, at + 2), 16);
    return Math.round(from + (to - from) * amount)
      .toString(16)
      .padStart(2, '0');
  });
  return `#${channels.join('')}`;
}

/** The same colour, let through. */
export function translucent(colour: string, alpha: number): string {
  return colour + Math.round(alpha * 255).toString(16).padStart(2, '0');
}
