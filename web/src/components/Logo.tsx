import SvgIcon, { type SvgIconProps } from '@mui/material/SvgIcon';

/** The mark: a gate, and metrics that pass through it. public/favicon.svg shows the same. */
export function Logo(props: SvgIconProps) {
  return (
    <SvgIcon viewBox="0 0 32 32" {...props}>
      <rect width="32" height="32" rx="8" fill="#0b6478" />
      <path d="M7.5 25.5V15a8.5 8.5 0 0 1 17 0v10.5" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />
      <path d="M12.2 25.5v-4.2M16 25.5v-10M19.8 25.5v-6.6" fill="none" stroke="#ffb26b" strokeWidth="2.6" strokeLinecap="round" />
    </SvgIcon>
  );
}
