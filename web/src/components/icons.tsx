import SvgIcon, { type SvgIconProps } from '@mui/material/SvgIcon';

/** Makes an icon of one line, drawn on 24 by 24. */
function lineIcon(path: string) {
  return function LineIcon(props: SvgIconProps) {
    return (
      <SvgIcon fontSize="small" {...props}>
        <path d={path} fill="none" stroke="currentColor" strokeWidth={1.8} strokeLinecap="round" strokeLinejoin="round" />
      </SvgIcon>
    );
  };
}

export const CheckIcon = lineIcon('M5 12.5l4.5 4.5L19 7.5');
export const ChevronDownIcon = lineIcon('M6 9.5l6 6 6-6');
export const ChevronRightIcon = lineIcon('M9.5 6l6 6-6 6');
export const ClockIcon = lineIcon('M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17zM12 7.5V12l3 2');
export const CloseIcon = lineIcon('M6.5 6.5l11 11M17.5 6.5l-11 11');
export const CopyIcon = lineIcon('M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9');
export const CodeIcon = lineIcon('M8.5 7L3.5 12l5 5M15.5 7l5 5-5 5');
export const DashboardIcon = lineIcon('M4 4h7v9H4zM14 4h6v5h-6zM14 12h6v8h-6zM4 16h7v4H4z');
export const DashIcon = lineIcon('M7 12h10');
export const DiagnosisIcon = lineIcon('M3 12.5h4l2.5-7 4.5 13 2.5-6H21');
export const DownloadIcon = lineIcon('M12 4v11M7.5 11L12 15.5 16.5 11M4.5 19.5h15');
export const ExploreIcon = lineIcon('M4 4v16h16M7.5 15l4-5 3.5 3 5-7');
export const EyeIcon = lineIcon('M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6z');
export const FolderIcon = lineIcon('M3.5 6.5h6l2 2.5h9v10h-17z');
export const InfoIcon = lineIcon('M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17zM12 11v5M12 7.8v.1');
export const KeyIcon = lineIcon('M8 10.5a4.2 4.2 0 1 1 0 8.4 4.2 4.2 0 0 1 0-8.4zM11 11.7L19.5 3.5M16 7l3 3');
export const PlugIcon = lineIcon('M9 3v5M15 3v5M6.5 8h11v3.5a5.5 5.5 0 0 1-11 0zM12 17v4');
export const PlusIcon = lineIcon('M12 5v14M5 12h14');
export const RefreshIcon = lineIcon('M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.4M20 4.5v4.9h-4.9');
export const SearchIcon = lineIcon('M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5L20.5 20.5');
export const UserIcon = lineIcon('M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4.5 20a7.5 7.5 0 0 1 15 0');
export const WarningIcon = lineIcon('M12 4L2.8 19.5h18.4zM12 10v4.2M12 16.8v.1');
