// Somebody else's server: pages of another site than the gateway, which is at localhost.
import { createServer } from 'node:http';

/** What an attacker's page does to see whether it can read an address, or write to it. Runs in the browser. */
export async function tryFetch([url, init]) {
  try {
    const response = await fetch(url, { credentials: 'include', ...init });
    return { type: response.type, status: response.status, text: await response.text() };
  } catch (error) {
    return { failed: error.name };
  }
}

/** Serves pages by their path at 127.0.0.1; close ends it. */
export async function attacker(pages) {
  const server = createServer((request, response) => {
    const body = pages[new URL(request.url, 'http://x').pathname];
    response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(body);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** A page whose only form has the browser send fields, or a text that looks like JSON, to an address. */
export function formPage(action, { method = 'post', fields = {}, json } = {}) {
  const [start, end] = json === undefined ? [] : JSON.stringify({ ...json, padding: '=' }).split('"="');
  const inputs = json === undefined ? Object.entries(fields) : [[`${start}"`, `"${end}`]];
  const enctype = json === undefined ? 'application/x-www-form-urlencoded' : 'text/plain';
  return `<!doctype html><title>Win</title><form method="${method}" action="${escaped(action)}" enctype="${enctype}">
${inputs.map(([name, value]) => `<input name="${escaped(name)}" value="${escaped(value)}">`).join('\n')}
<button>Win a prize</button></form>`;
}
