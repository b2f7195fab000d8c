import Popover from '@mui/material/Popover';
import type { ReactNode } from 'react';

interface DropDownProps {
  anchor: HTMLElement | null;
  open: boolean;
  label: string;
  width?: string;
  children: ReactNode;
  onClose: () => void;
}

/** A small dialog below its button. */
export function DropDown({ anchor, open, label, width, children, onClose }: DropDownProps) {
  return (
    <Popover
      open={open}
      anchorEl={anchor}
      onClose={onClose}
      anchorOrigin={{ vertical: 'bottom', horizontal: 'left' }}
      slotProps={{ paper: { role: 'dialog', 'aria-label': label, sx: { mt: 0.5, width, border: '1px solid', borderColor: 'divider' } } }}
    >
      {children}
    </Popover>
  );
}
