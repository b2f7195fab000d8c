import Button from '@mui/material/Button';
import ButtonGroup from '@mui/material/ButtonGroup';
import { useRef, useState } from 'react';
import { ChevronDownIcon, ChevronRightIcon, ClockIcon } from '../components/icons';
import { DropDown } from './DropDown';
import { ChevronLeftIcon, ZoomOutIcon } from './icons';
import { describeDuration, resolve, shift, zoomOut, type TimeRange } from './range';
import { formatSpan } from './time';
import { TimeRangeForm } from './TimeRangeForm';

interface TimeRangeButtonProps {
  range: TimeRange;
  onChange: (range: TimeRange) => void;
}

const now = () => Date.now() / 1000;
const iconOnly = { minWidth: 34, px: 0 };

export function describeRange(range: TimeRange): string {
  return range.kind === 'relative' ? `Last ${describeDuration(range.seconds)}` : formatSpan(range.from, range.to);
}

/** The range, with buttons that move and widen it. */
export function TimeRangeButton({ range, onChange }: TimeRangeButtonProps) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLButtonElement>(null);
  const move = (direction: -1 | 1) => onChange(shift(resolve(range, now()), direction, now()));
  return (
    <>
      <ButtonGroup size="small" color="inherit" aria-label="Time range" sx={{ minWidth: 0, '& .MuiButton-root': { borderColor: 'divider' } }}>
        <Button aria-label="Earlier" title="Earlier" sx={iconOnly} onClick={() => move(-1)}>
          <ChevronLeftIcon />
        </Button>
        <Button
          ref={anchor}
          data-testid="explore-range"
          aria-haspopup="dialog"
          aria-expanded={open}
          startIcon={<ClockIcon />}
          endIcon={<ChevronDownIcon />}
          onClick={() => setOpen(true)}
          sx={{ minWidth: 0, fontVariantNumeric: 'tabular-nums', lineHeight: 1.3 }}
        >
          {describeRange(range)}
        </Button>
        <Button aria-label="Later" title="Later" sx={iconOnly} disabled={range.kind === 'relative'} onClick={() => move(1)}>
          <ChevronRightIcon />
        </Button>
        <Button aria-label="Zoom out" title="Zoom out" sx={iconOnly} onClick={() => onChange(zoomOut(range, now()))}>
          <ZoomOutIcon />
        </Button>
      </ButtonGroup>
      <DropDown anchor={anchor.current} open={open} label="Time range" onClose={() => setOpen(false)}>
        <TimeRangeForm
          range={range}
          onChange={(next) => {
            setOpen(false);
            onChange(next);
          }}
        />
      </DropDown>
    </>
  );
}
