import Typography, { type TypographyProps } from '@mui/material/Typography';
import { useEffect, useRef, type ReactNode } from 'react';
import { useLocation } from 'react-router-dom';

/** Where the document was opened: there the browser's own focus is right. */
let firstPath: string | undefined;

interface PageHeadingProps {
  children: ReactNode;
  /** What the browser's tab says, before the name of the product. */
  title: string;
  /** Whether the heading takes the focus when the person comes to the screen. */
  focus?: boolean;
  sx?: TypographyProps['sx'];
}

/** The one h1 of a screen. It names the document, and takes the focus on navigation, so that a screen reader says where one is. */
export function PageHeading({ children, title, focus = true, sx }: PageHeadingProps) {
  const { pathname } = useLocation();
  const heading = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    document.title = `${title} · promgate`;
  }, [title]);

  useEffect(() => {
    firstPath ??= pathname;
    if (pathname === firstPath) return;
    firstPath = '';
    if (focus) heading.current?.focus({ preventScroll: true });
  }, [pathname, focus]);

  return (
    <Typography variant="h1" ref={heading} tabIndex={-1} sx={sx}>
      {children}
    </Typography>
  );
}
