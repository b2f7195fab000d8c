import { describe, expect, it } from 'vitest';
import { isHarmlessLink } from './links';

const base = 'https://gateway.example/ui/';

describe('isHarmlessLink', () => {
  it.each(['https://example.com/', 'http://example.com', '/ui/projects', 'projects/shop', '#top', '?a=b', 'mailto:team@example.com'])('lets %s pass', (href) => {
    expect(isHarmlessLink(href, base)).toBe(true);
  });

  it.each(['javascript:alert(1)', ' JaVaScRiPt:alert(1)', 'java\nscript:alert(1)', '\u0001javascript:alert(1)', 'data:text/html,x', 'vbscript:x', 'blob:https://gateway.example/x', 'file:///etc/passwd', 'http://['])(
    'stops %j',
    (href) => {
      expect(isHarmlessLink(href, base)).toBe(false);
    },
  );
});
