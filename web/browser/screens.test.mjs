// Every screen, light and dark and on a phone: nothing serious in anybody's way, and a picture of each.
import { before, test } from 'node:test';
import { at, byId, desktop, explore, isAccessible, phone, screenshot, stage, visit } from './stage.mjs';
import { sessionOf } from './people.mjs';
import { answered, plotBox } from './explore.mjs';

const { demo, site } = stage;
const variants = {
  light: { scheme: 'light', size: desktop },
  dark: { scheme: 'dark', size: desktop },
  phone: { scheme: 'light', size: phone },
};

const environment = (base, project, name, tab) => at(base, `ui/projects/${project}/environments/${name}/${tab}`);
const query = 'sum by (handler) (rate(http_requests_total[5m]))';
const diagnosed = (page) => byId(page, 'diagnosis-summary').waitFor();

/** By person: the screens with their addresses, and what is done there until it is what is to be shown. */
const screens = {
  demo: {
    projects: { url: at(demo.url, 'ui/'), act: (page) => page.locator('[data-health="up"]').nth(3).waitFor() },
    'projects-no-match': { url: at(demo.url, 'ui/?search=warehouse'), act: (page) => page.getByText('Nothing matches').waitFor() },
    'explore-empty': { url: explore(demo.url, 'shop', 'production'), act: (page) => byId(page, 'explore-run').waitFor() },
    explore: { url: explore(demo.url, 'shop', 'production', { q: query, range: '1h', unit: 'short/s' }), act: answered },
    'explore-pointer': { url: explore(demo.url, 'shop', 'production', { q: query, range: '1h', stacked: '1', unit: 'short/s' }), act: pointAtChart },
    'explore-table': { url: explore(demo.url, 'shop', 'production', { q: 'http_requests_total', mode: 'table' }), act: answered },
    'explore-error': { url: explore(demo.url, 'shop', 'production', { q: 'sum by (code) rate(http_requests_total)' }), act: (page) => byId(page, 'explore-error-0').waitFor() },
    'explore-metrics': { url: explore(demo.url, 'shop', 'production'), act: openMetrics },
    'explore-range': { url: explore(demo.url, 'shop', 'production'), act: (page) => byId(page, 'explore-range').click() },
    connect: { url: environment(demo.url, 'shop', 'production', 'connect'), act: (page) => byId(page, 'snippet-grafana').waitFor() },
    'connect-token': { url: environment(demo.url, 'billing', 'staging', 'connect'), act: makeToken },
    tokens: { url: at(demo.url, 'ui/projects/shop/tokens'), act: (page) => byId(page, 'token-show-all').click() },
    'tokens-new': { url: at(demo.url, 'ui/projects/shop/tokens'), act: (page) => byId(page, 'token-new').click() },
    'tokens-revoke': { url: at(demo.url, 'ui/projects/shop/tokens'), act: (page) => byId(page, 'token-revoke').first().click() },
    diagnosis: { url: environment(demo.url, 'shop', 'production', 'diagnosis'), act: diagnosed },
    account: { url: at(demo.url, 'ui/projects/shop/tokens'), act: (page) => byId(page, 'user-menu').click() },
    'not-found': { url: at(demo.url, 'ui/no-such-screen'), act: (page) => page.getByText('There is nothing here').waitFor() },
  },
  maintainer: {
    'projects-down': { url: at(site.url, 'ui/'), act: (page) => page.locator('[data-health="down"]').nth(1).waitFor() },
    'diagnosis-failed': { url: environment(site.url, 'shop', 'forbidden', 'diagnosis'), act: diagnosed },
    'explore-histogram': {
      url: explore(site.url, 'shop', 'production', { q: 'rpc_duration_seconds', from: site.from, to: site.to }),
      act: (page) => page.getByRole('region', { name: 'Histograms' }).waitFor(),
    },
  },
  viewer: {
    'connect-viewer': { url: environment(site.url, 'shop', 'production', 'connect'), act: (page) => byId(page, 'snippet-grafana').waitFor() },
    'tokens-viewer': { url: at(site.url, 'ui/projects/shop/tokens'), act: (page) => page.getByText('are for its maintainers').waitFor() },
  },
  kubernetesNobody: {
    'projects-empty': { url: at(site.url, 'ui/'), act: (page) => page.getByText('No projects yet').waitFor() },
  },
  nobody: {
    signin: { url: at(site.url, 'ui/signin'), act: (page) => byId(page, 'signin-name').waitFor() },
    'signin-refused': { url: at(site.url, 'ui/signin?error=refused'), act: (page) => byId(page, 'signin-name').waitFor() },
    'signin-password': { url: at(demo.url, 'ui/signin'), act: (page) => byId(page, 'signin-name').waitFor() },
  },
};

async function pointAtChart(page) {
  await answered(page);
  const { x, y, width, height } = await plotBox(page);
  await page.mouse.move(x + width * 0.6, y + height * 0.4);
}

async function openMetrics(page) {
  await page.getByRole('button', { name: 'Metrics', exact: true }).click();
  await page.getByRole('combobox', { name: 'Search metrics' }).fill('http');
  await page.getByRole('option', { name: /^http_requests_total/ }).waitFor();
}

async function makeToken(page) {
  await byId(page, 'token-description').fill('Grafana');
  await byId(page, 'token-create').click();
  await byId(page, 'first-request').waitFor();
  await byId(page, 'token-secret').scrollIntoViewIfNeeded();
}

/** Asks the gateway's API as the page does. */
function call(page, method, path, body) {
  return page.evaluate(
    async ([verb, where, text]) => {
      const headers = { 'X-Promgate-Page': '1', 'Content-Type': 'application/json' };
      const response = await fetch(new URL(`../api/v1/${where}`, document.baseURI), { method: verb, headers, body: text });
      if (!response.ok) throw new Error(await response.text());
      return response.json();
    },
    [method, path, body && JSON.stringify(body)],
  );
}

/** Tokens in every state, for a list that looks like one. */
before(async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    await page.goto(at(demo.url, 'ui/'));
    const day = 86_400;
    const make = async (description, days, scope) =>
      (await call(page, 'POST', 'projects/shop/tokens', { description, lifetimeSeconds: days * day, environment: scope })).token.id;
    await make('Grafana of the shop team', 90, 'production');
    await make('Nightly capacity report', 5);
    await call(page, 'POST', `projects/shop/tokens/${await make('Perses', 365, 'staging')}/rotate`, { overlapSeconds: day });
    await call(page, 'DELETE', `projects/shop/tokens/${await make('Notebook of a contractor', 30, 'production')}`);
  });
});

for (const [variant, options] of Object.entries(variants)) {
  for (const [person, list] of Object.entries(screens)) {
    test(`${variant}, as ${person}`, async () => {
      const session = person === 'nobody' ? undefined : await sessionOf(person);
      await visit({ ...options, session, allow: [400, 403, 404], reducedMotion: 'reduce' }, async (page) => {
        for (const [name, { url, act }] of Object.entries(list)) {
          await page.goto(url);
          await page.mouse.move(0, 0);
          await act(page);
          await screenshot(page, `${name}-${variant}`);
          await isAccessible(page, `${name}, ${variant}`);
        }
      });
    });
  }
}
