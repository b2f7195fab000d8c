import Button from '@mui/material/Button';
import Dialog from '@mui/material/Dialog';
import DialogActions from '@mui/material/DialogActions';
import DialogContent from '@mui/material/DialogContent';
import DialogTitle from '@mui/material/DialogTitle';
import { useId, type ReactNode } from 'react';

interface ActionDialogProps {
  title: string;
  children: ReactNode;
  onClose: () => void;
  /** What the button does that cannot be undone; absent: there is only something to read. */
  confirm?: { label: string; busyLabel: string; isBusy: boolean; isDangerous?: boolean; onConfirm: () => void };
  closeLabel?: string;
  /** Whether only the button closes it: what it shows would be lost by a click beside it. */
  isSticky?: boolean;
  /** false: the content has its own buttons. */
  hasActions?: boolean;
  isWide?: boolean;
}

/** Asks before something happens. The safe answer has the focus. */
export function ActionDialog({ title, children, onClose, confirm, closeLabel = 'Cancel', isSticky, hasActions = true, isWide }: ActionDialogProps) {
  const id = useId();
  const isBusy = confirm?.isBusy === true;
  return (
    <Dialog open fullWidth maxWidth={isWide ? 'md' : 'sm'} onClose={isBusy || isSticky ? undefined : onClose} aria-labelledby={id}>
      <DialogTitle id={id} sx={{ typography: 'h2', fontSize: '1.125rem', pb: 1, overflowWrap: 'anywhere' }}>
        {title}
      </DialogTitle>
      <DialogContent sx={{ typography: 'body1', overflowWrap: 'anywhere', '&&': { pt: 1 } }}>{children}</DialogContent>
      {hasActions && (
        <DialogActions sx={{ px: 3, pb: 2.5 }}>
          <Button color="inherit" autoFocus={confirm !== undefined} disabled={isBusy} onClick={onClose} data-testid="dialog-close">
            {closeLabel}
          </Button>
          {confirm && (
            <Button
              variant="contained"
              color={confirm.isDangerous ? 'error' : 'primary'}
              disabled={isBusy}
              onClick={confirm.onConfirm}
              data-testid="confirm"
            >
              {isBusy ? confirm.busyLabel : confirm.label}
            </Button>
          )}
        </DialogActions>
      )}
    </Dialog>
  );
}
