import DOMPurify from 'dompurify';

// Perses' markdown panel shows what DOMPurify leaves of it. By default that is all that cannot run anything; here it is also
// nothing that asks for input, or takes on the look of the page: the text is that of whoever may deploy a dashboard.
DOMPurify.setConfig({
  USE_PROFILES: { html: true },
  FORBID_TAGS: ['style', 'form', 'input', 'button', 'textarea', 'select', 'option', 'dialog', 'audio', 'video', 'source', 'picture'],
  FORBID_ATTR: ['style', 'class', 'id', 'name', 'srcset', 'popovertarget'],
  ALLOW_DATA_ATTR: false,
});

export { Markdown } from '@perses-dev/markdown-plugin';
