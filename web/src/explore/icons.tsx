import SvgIcon, { type SvgIconProps } from '@mui/material/SvgIcon';

/** Icons that only Explore needs, in the style of the others. */
function lineIcon(path: string) {
  return function LineIcon(props: SvgIconProps) {
    return (
      <SvgIcon fontSize="small" {...props}>
        <path d={path} fill="none" stroke="currentColor" strokeWidth={1.8} strokeLinecap="round" strokeLinejoin="round" />
      </SvgIcon>
    );
  };
}

export const ChevronLeftIcon = lineIcon('M14.5 6l-6 6 6 6');
export const EyeOffIcon = lineIcon(
  'M4 4l16 16M9.9 5.8A9 9 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a16 16 0 0 1-2.7 3.4M6.2 7.4A15.5 15.5 0 0 0 2.5 12S6 18.5 12 18.5a9 9 0 0 0 4.2-1M10 10a2.8 2.8 0 0 0 4 4',
);
export const HistoryIcon = lineIcon('M4.5 12a7.5 7.5 0 1 0 2.2-5.3L4 9.4M4 4.5v4.9h4.9M12 8v4.2l2.8 1.8');
export const ListIcon = lineIcon('M8.5 6h11M8.5 12h11M8.5 18h11M4.5 6h.1M4.5 12h.1M4.5 18h.1');
export const PlayIcon = lineIcon('M7.5 5l11 7-11 7z');
export const SortDownIcon = lineIcon('M12 5v14M6.5 13.5L12 19l5.5-5.5');
export const SortUpIcon = lineIcon('M12 19V5M6.5 10.5L12 5l5.5 5.5');
export const StopIcon = lineIcon('M7 7h10v10H7z');
export const ZoomOutIcon = lineIcon('M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L20.5 20.5M7.8 10.5h5.4');
