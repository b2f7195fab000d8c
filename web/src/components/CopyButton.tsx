import Button, { type ButtonProps } from '@mui/material/Button';
import { useEffect, useState } from 'react';
import { copyText } from './clipboard';
import { CheckIcon, CopyIcon, WarningIcon } from './icons';
import { VisuallyHidden } from './VisuallyHidden';

interface CopyButtonProps extends Pick<ButtonProps, 'size' | 'variant' | 'color' | 'sx' | 'disabled'> {
  text: string | (() => string);
  /** What the button says. */
  label?: string;
  /** What is copied, for screen readers, such as "the address". */
  what?: string;
  'data-testid'?: string;
}

type Outcome = 'idle' | 'copied' | 'failed';

const shown: Record<Exclude<Outcome, 'idle'>, string> = { copied: 'Copied', failed: 'Select it and copy' };

/** Copies text, and says so: on itself, and in a live region of its own, which also works inside dialogs. */
export function CopyButton({ text, label = 'Copy', what, size = 'small', variant = 'outlined', color = 'inherit', ...rest }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<Outcome>('idle');
  useEffect(() => {
    if (outcome === 'idle') return;
    const timer = setTimeout(() => setOutcome('idle'), 2500);
    return () => clearTimeout(timer);
  }, [outcome]);

  const copy = async () => {
    setOutcome((await copyText(typeof text === 'string' ? text : text())) ? 'copied' : 'failed');
  };
  const Icon = outcome === 'copied' ? CheckIcon : outcome === 'failed' ? WarningIcon : CopyIcon;
  return (
    <>
      <Button
        {...rest}
        size={size}
        variant={variant}
        color={outcome === 'copied' ? 'success' : color}
        startIcon={<Icon />}
        onClick={() => void copy()}
        aria-label={what && outcome === 'idle' ? `${label} ${what}` : undefined}
        sx={[{ flexShrink: 0, minWidth: 92, bgcolor: 'background.paper' }, ...(Array.isArray(rest.sx) ? rest.sx : [rest.sx])]}
      >
        {outcome === 'idle' ? label : shown[outcome]}
      </Button>
      <VisuallyHidden role="status">{outcome === 'idle' ? '' : shown[outcome]}</VisuallyHidden>
    </>
  );
}
