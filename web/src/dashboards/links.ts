const allowed = new Set(['http:', 'https:', 'mailto:']);

/** Whether a link leads somewhere, and does not run anything. */
export function isHarmlessLink(href: string, base: string): boolean {
  try {
    return allowed.has(new URL(href, base).protocol);
  } catch {
    return false;
  }
}

/** Stops a click on a link that is none: a dashboard may have it in its panels, and put into it the value of any label. */
function onClick(event: MouseEvent) {
  const link = event.composedPath().find((target): target is HTMLAnchorElement => target instanceof HTMLAnchorElement);
  const href = link?.getAttribute('href');
  if (!link || !href || isHarmlessLink(href, document.baseURI)) return;
  // A panel hands out its data as a file of the page's own making, whose address nobody can know beforehand.
  if (link.hasAttribute('download') && href.startsWith(`blob:${location.origin}/`)) return;
  event.preventDefault();
  event.stopPropagation();
}

/** Watches over the links of the document, menus included, until it is told to stop. Ahead of whatever else hears of clicks. */
export function guardLinks(): () => void {
  const kinds = ['click', 'auxclick'] as const;
  for (const kind of kinds) window.addEventListener(kind, onClick, { capture: true });
  return () => {
    for (const kind of kinds) window.removeEventListener(kind, onClick, { capture: true });
  };
}
