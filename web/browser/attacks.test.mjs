// What other sites, and people on them, try with somebody who is signed in. The gateway is at localhost and the attacker at
// 127.0.0.1, which is another site.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { at, byId, says, stage, until, visit } from './stage.mjs';
import { atProvider, people, sessionCookie, sessionOf, sessionValue, signIn, signInAt, toProvider, whoIs } from './people.mjs';
import { attacker, formPage, tryFetch } from './attacker.mjs';

const { site } = stage;
const origin = new URL(site.url).origin;
const api = (path) => at(site.url, `api/v1/${path}`);
const data = (path) => at(site.url, `projects/shop/environments/production/api/v1/${path}`);
const mallory = { name: site.viewer.name, password: site.viewer.password };
const newToken = { description: 'of the attacker', lifetimeSeconds: 86_400 };

const forms = {
  '/sign-in': formPage(api('session/local'), { json: mallory }),
  '/sign-in-fields': formPage(api('session/local'), { fields: mallory }),
  '/sign-in-token': formPage(api('session/kubernetes'), { json: { token: site.kubernetesViewer } }),
  '/sign-in-oidc': formPage(api('session/oidc'), { json: { returnTo: '' } }),
  '/sign-out': formPage(api('session'), { fields: { _method: 'DELETE' } }),
  '/new-token': formPage(api('projects/shop/tokens'), { json: newToken }),
  '/query': formPage(data('query'), { fields: { query: 'up' } }),
  '/query-get': formPage(data('query'), { method: 'get', fields: { query: 'up' } }),
};
const pages = {
  ...forms,
  '/': '<!doctype html><title>Evil</title>',
  '/frame': `<!doctype html><title>Evil</title><iframe src="${at(site.url, 'ui/')}" width="900" height="600"></iframe>`,
};

let evil;
before(async () => (evil = await attacker(pages)));
after(() => evil.close());

/** A visit of somebody who is signed in, and still is afterwards, with no token more. */
async function victimised(act, allow = [/./]) {
  await visit({ session: await sessionOf('maintainer'), allow }, async (page, context) => {
    await page.goto(at(site.url, 'ui/'));
    await byId(page, 'env-row-shop-production').waitFor();
    const value = await sessionValue(context, site.url);
    await act(page, context);
    assert.equal(await sessionValue(context, site.url), value, 'the cookie is the same');
    assert.equal(await whoIs(context, site.url), site.maintainer.name, 'the session goes on');
    await page.goto(at(site.url, 'ui/projects/shop/tokens'));
    await byId(page, 'token-new').waitFor();
    await byId(page, 'token-show-all').click();
    await page.locator('[data-testid^="token-row-"]').or(page.getByText('No tokens yet')).first().waitFor();
    assert.equal(await page.getByText(newToken.description).count(), 0, 'no token was made');
  });
}

test('forms of another site', () =>
  victimised(async (page, context) => {
    for (const path of Object.keys(forms)) {
      await page.goto(evil.url + path);
      const answer = page.waitForResponse((response) => response.url().startsWith(site.url));
      await page.getByRole('button').click();
      const response = await answer;
      assert.equal((await response.request().allHeaders())['sec-fetch-site'], 'cross-site');
      assert.ok(response.status() >= 400, `the gateway answers ${response.status()} to ${path}`);
      assert.equal(response.headers()['set-cookie'], undefined);
      await page.waitForURL((url) => url.origin === origin);
      assert.ok(!(await page.content()).includes('"success"'), 'the answer is no data');
      assert.equal(await whoIs(context, site.url), site.maintainer.name, path);
    }
  }));

const json = { 'Content-Type': 'application/json' };
const pageHeader = { 'X-Promgate-Page': '1' };
const fetches = {
  'a query': [data('query?query=up'), {}],
  'a query that is posted': [data('query'), { method: 'POST', body: new URLSearchParams({ query: 'up' }).toString(), headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }],
  'a query as the page asks it': [data('query?query=up'), { headers: pageHeader }],
  'a query that nobody is to read': [data('query?query=up'), { mode: 'no-cors' }],
  'the session': [api('session'), {}],
  'the tokens': [api('projects/shop/tokens'), { headers: pageHeader }],
  'a new token': [api('projects/shop/tokens'), { method: 'POST', headers: { ...json, ...pageHeader }, body: JSON.stringify(newToken) }],
  'a new token as plain text': [api('projects/shop/tokens'), { method: 'POST', mode: 'no-cors', body: JSON.stringify(newToken) }],
  'signing in': [api('session/local'), { method: 'POST', headers: { ...json, ...pageHeader }, body: JSON.stringify(mallory) }],
  'signing in as plain text': [api('session/local'), { method: 'POST', mode: 'no-cors', body: JSON.stringify(mallory) }],
  'signing out': [api('session'), { method: 'DELETE', headers: pageHeader }],
  'signing out everywhere': [api('sessions'), { method: 'DELETE', headers: pageHeader }],
  'the page itself': [at(site.url, 'ui/'), {}],
};

/** Nothing of the answer may be there for the asker: no status, no text. */
function isUnreadable(what, { failed, type, status, text }) {
  if (failed === undefined) assert.deepEqual({ type, status, text }, { type: 'opaque', status: 0, text: '' }, what);
}

test('scripts of another site', () =>
  victimised(async (page) => {
    await page.goto(`${evil.url}/`);
    for (const [what, request] of Object.entries(fetches)) isUnreadable(what, await page.evaluate(tryFetch, request));
    for (const tag of ['script', 'img', 'link']) {
      const loaded = await page.evaluate(
        ([name, url]) =>
          new Promise((done) => {
            const element = Object.assign(document.createElement(name), name === 'link' ? { rel: 'stylesheet', href: url } : { src: url });
            element.onload = () => done(true);
            element.onerror = () => done(false);
            document.head.append(element);
          }),
        [tag, data('query?query=up')],
      );
      assert.equal(loaded, false, `the data is no ${tag}`);
    }
  }));

test('a sandboxed frame, whose origin is null', () =>
  victimised(async (page) => {
    await page.goto(`${evil.url}/`);
    for (const [what, request] of Object.entries(fetches)) {
      const script = `(${tryFetch})(${JSON.stringify(request)}).then((result) => parent.postMessage(result, '*'))`;
      const result = await page.evaluate((code) => {
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts allow-forms';
        frame.srcdoc = `<script>${code.replaceAll('</', '<\\/')}</script>`;
        return new Promise((done) => {
          addEventListener('message', (event) => done({ ...event.data, origin: event.origin }), { once: true });
          document.body.append(frame);
        });
      }, script);
      assert.equal(result.origin, 'null');
      isUnreadable(what, result);
    }
  }));

test('the page in a frame', () =>
  victimised(async (page) => {
    await page.goto(`${evil.url}/frame`);
    await until(() => assert.equal(page.frames()[1]?.url(), 'chrome-error://chromewebdata/'));
    assert.equal(await page.frames()[1].locator('#root').count(), 0);
  }));

test('a window that was opened by another site', () =>
  victimised(async (page, context) => {
    await page.goto(`${evil.url}/`);
    const coming = context.waitForEvent('page');
    await page.evaluate((url) => (globalThis.opened = globalThis.open(url)), at(site.url, 'ui/'));
    const popup = await coming;
    await byId(popup, 'env-row-shop-production').waitFor();
    assert.equal(await popup.evaluate(() => globalThis.opener), null, 'the page does not know who opened it');
    assert.equal(await page.evaluate(() => globalThis.opened.closed), true, 'and who opened it has lost it');
  }));

const callback = (query) => api(`session/oidc/callback?${new URLSearchParams(query)}`);

test('a callback that nobody asked for', async () => {
  await visit({ allow: [] }, async (page, context) => {
    await page.goto(callback({ code: 'made-up', state: 'made-up', iss: site.issuer }));
    await says(page.getByRole('alert'), 'The sign-in took too long or was started in another window. Try again.');
    assert.equal(await whoIs(context, site.url), null);
  });
});

/** Signs in at the provider, and keeps the last step from the gateway: a callback that is still good. */
async function unusedCallback(name) {
  return visit({ allow: [429] }, async (page, context) => {
    await page.goto(at(site.url, 'ui/signin'));
    const next = (answer) => new URL(answer.headers().location, answer.url()).href;
    const step = (url, form) => context.request.fetch(url, { maxRedirects: 0, ...(form && { method: 'POST', form }) });
    const login = next(await step(await beginSignIn(page)));
    let url = next(await step(login, { login: name, password: `${name}-password` }));
    while (!url.startsWith(site.url)) url = next(await step(url));
    assert.match(url, /\/callback\?code=/);
    return url;
  });
}

/** Has the gateway begin a sign-in, and returns where it wants the browser to go. */
async function beginSignIn(page) {
  return until(() =>
    page.evaluate(async () => {
      const headers = { 'X-Promgate-Page': '1', 'Content-Type': 'application/json' };
      const response = await fetch(new URL('../api/v1/session/oidc', document.baseURI), { method: 'POST', headers, body: '{"returnTo":""}' });
      return new URL((await response.json()).url).href;
    }),
  );
}

test("an attacker's callback in the victim's browser", async () => {
  const stolen = await unusedCallback('boris');
  await visit({ allow: [429] }, async (page, context) => {
    await page.goto(stolen);
    await says(page.getByRole('alert'), 'started in another window');
    // The victim is on the way to sign in: there is an attempt, but it is another one.
    await toProvider(page);
    await page.goto(stolen);
    await says(page.getByRole('alert'), 'Your provider refused the sign-in');
    assert.equal(await whoIs(context, site.url), null);
  });
});

test('a callback again', async () => {
  await visit({ allow: [429] }, async (page, context) => {
    let url;
    page.on('request', (request) => (url = request.url().includes('/oidc/callback') ? request.url() : url));
    await page.goto(at(site.url, 'ui/signin'));
    await toProvider(page);
    await atProvider(page, 'anna');
    await byId(page, 'env-row-shop-production').waitFor();
    await context.clearCookies({ name: sessionCookie });
    await page.goto(url);
    await says(page.getByRole('alert'), 'started in another window');
    assert.equal(await whoIs(context, site.url), null);
  });
});

test('a session that was planted', async () => {
  await visit({ allow: [429] }, async (page, context) => {
    await signInAt(page, people.viewer);
    const planted = (await context.cookies()).find(({ name }) => name === sessionCookie);
    await byId(page, 'user-menu').click();
    await byId(page, 'sign-out').click();
    await byId(page, 'signin-name').waitFor();
    await context.addCookies([planted]);
    await signIn(page, people.maintainer);
    await byId(page, 'env-row-shop-production').waitFor();
    assert.notEqual(await sessionValue(context, site.url), planted.value);
    assert.equal(await whoIs(context, site.url), site.maintainer.name);
    await context.addCookies([planted]);
    assert.equal(await whoIs(context, site.url), null, 'what was planted has not become a session');
  });
});

const elsewhere = [
  'ui/signin?returnTo=https://evil.example/',
  'ui/signin?from=//evil.example/',
  'ui/signin?error=<img src=x onerror=alert(1)>',
  'ui//evil.example',
  'ui//evil.example/..',
  'ui/\\evil.example',
  'ui/%5cevil.example',
  'ui/%2f%2fevil.example/',
  'ui/https://evil.example/',
  'ui/projects//evil.example/environments/x/explore',
  'ui/@evil.example',
];

test('addresses that look like a way out', async () => {
  await visit({ session: await sessionOf('maintainer'), allow: [400, 404] }, async (page) => {
    for (const path of elsewhere) {
      await page.goto(at(site.url, path));
      await page.waitForFunction(() => document.contentType === 'text/plain' || document.querySelector('h1, [data-testid="user-menu"]'));
      assert.equal(new URL(page.url()).origin, origin, path);
    }
  });
});

test('places to return to that are elsewhere', async () => {
  await visit({ allow: [429] }, async (page, context) => {
    const places = ['https://evil.example/', '//evil.example/', '\\\\evil.example', '../../../evil', 'javascript:alert(1)'];
    for (const [index, returnTo] of places.entries()) {
      await context.clearCookies({ name: sessionCookie });
      await page.goto(at(site.url, 'ui/signin'));
      // As the page asks, but for another place: the worst that a link could have it do.
      await page.route('**/api/v1/session/oidc', (route) => route.continue({ postData: JSON.stringify({ returnTo }) }), { times: 1 });
      await byId(page, 'signin-oidc').click();
      if (index === 0) await atProvider(page, 'anna');
      await byId(page, 'env-row-shop-production').waitFor();
      assert.equal(page.url(), at(site.url, 'ui/'), returnTo);
    }
  });
});
