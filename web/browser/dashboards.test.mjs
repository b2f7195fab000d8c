// Dashboards that came from Kubernetes: the objects are those of objects/, applied to the project's namespace, for which
// NAMESPACE stands in them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { before, test } from 'node:test';
import { at, byId, desktop, isAccessible, patience, phone, says, screenshot, stage, until, visit } from './stage.mjs';
import { signInAt } from './people.mjs';

const here = stage.dashboards;
const person = { base: here.url, name: here.user, password: here.password, token: here.token || undefined };
const listUrl = at(here.url, `ui/projects/${here.project}/dashboards`);
let session;

before(async () => {
  session = await visit({ allow: [429] }, async (page, context) => {
    await signInAt(page, person);
    return context.storageState();
  });
});

/** The address of a dashboard, at the times between which its servers have data. */
function dashboardUrl(name, params = {}) {
  const times = Date.parse(here.from) > 0 ? { start: String(Date.parse(here.from)), end: String(Date.parse(here.to)) } : {};
  return `${listUrl}/${name}?${new URLSearchParams({ ...times, ...params })}`;
}

/** Visits as the person, and fails where anything was asked of another server. */
async function onPage(url, act, options = {}) {
  const { origin } = new URL(here.url);
  await visit({ session, ...options }, async (page, context) => {
    const elsewhere = [];
    context.on('request', (request) => /^(data|blob):/.test(request.url()) || new URL(request.url()).origin === origin || elsewhere.push(request));
    await page.goto(url);
    await act(page, context);
    // What the page's policy stops is never sent.
    const sent = elsewhere.filter((request) => request.failure()?.errorText !== 'csp');
    assert.deepEqual(sent.map((request) => request.url()), [], 'everything comes from the gateway');
  });
}

function panel(page, title) {
  return byId(page, 'panel').filter({ has: page.getByText(title, { exact: true }) });
}

/** How many pixels of a panel's chart have been drawn in a colour, and not in grey. */
function colour(chart) {
  return chart
    .locator('canvas')
    .first()
    .evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [red, green, blue, alpha] = data.subarray(i, i + 4);
        if (alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 40) count += 1;
      }
      return count;
    });
}

async function isDrawn(page, title) {
  await until(async () => assert.ok((await colour(panel(page, title))) > 100, `${title} is empty`));
}

async function isOverview(page) {
  await isDrawn(page, 'Requests by handler');
  await isDrawn(page, 'Failed requests');
  await says(panel(page, 'Requests per second'), /\d\.\d/);
  await says(panel(page, 'Requests by handler and code'), /\d\.\d\d\s+200\s+\//);
  await panel(page, 'About').getByRole('heading', { name: 'The shop' }).waitFor();
  await says(panel(page, 'About'), 'What it does in 5m.');
}

async function isReadOnly(page) {
  for (const name of [/^edit/i, /^save/i, /^add /i, /^delete/i, /^duplicate/i, /json/i]) {
    assert.equal(await page.getByRole('button', { name }).count(), 0, `no button ${name}`);
  }
}

for (const scheme of ['light', 'dark']) {
  test(`the list of dashboards, ${scheme}`, () =>
    onPage(
      at(here.url, `ui/?search=${here.project}`),
      async (page) => {
        await page.getByRole('link', { name: `Dashboards of ${here.project}`, exact: true }).click();
        const tree = page.getByRole('tree', { name: `Dashboards of ${here.project}` });
        await byId(tree, 'folder-Services').waitFor();
        assert.equal(await byId(tree, 'dashboard-overview').getAttribute('aria-level'), '2');
        assert.equal(await byId(tree, 'dashboard-hidden').getAttribute('aria-level'), '3');
        assert.equal(await byId(tree, 'dashboard-hostile').getAttribute('aria-level'), '1');
        await says(byId(tree, 'missing-never-deployed'), 'not deployed');
        await says(byId(page, 'dashboard-problems'), 'never-deployed');
        await screenshot(page, `dashboards-${scheme}`);
        await isAccessible(page, `the list of dashboards, ${scheme}`);
      },
      { scheme },
    ));

  test(`a dashboard with every kind of panel, ${scheme}`, () =>
    onPage(
      dashboardUrl(here.dashboard),
      async (page) => {
        await isOverview(page);
        await isReadOnly(page);
        await screenshot(page, `dashboard-${scheme}`);
        await isAccessible(page, `a dashboard, ${scheme}`);
      },
      { scheme },
    ));
}

test('a dashboard on a phone', () =>
  onPage(
    dashboardUrl(here.dashboard),
    async (page) => {
      await isDrawn(page, 'Requests by handler');
      await until(async () => {
        await page.mouse.wheel(0, 600);
        assert.equal(await panel(page, 'About').count(), 1, 'a panel is there once somebody comes to it');
      });
      await page.evaluate(() => scrollTo(0, 0));
      await screenshot(page, 'dashboard-phone');
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= phone.width, `it is ${width} pixels wide`);
    },
    { size: phone },
  ));

test('the tree with the keyboard alone', () =>
  onPage(listUrl, async (page) => {
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('data-testid'));
    await byId(page, 'folder-Services').focus();
    for (const [key, expected] of [
      ['ArrowDown', 'dashboard-overview'],
      ['ArrowDown', 'folder-Odd ones'],
      ['ArrowRight', 'dashboard-hidden'],
      ['ArrowLeft', 'folder-Odd ones'],
      ['Home', 'folder-Services'],
    ]) {
      await page.keyboard.press(key);
      await until(async () => assert.equal(await focused(), expected, key));
    }
    await page.keyboard.press('ArrowLeft');
    await until(async () => assert.equal(await byId(page, 'dashboard-overview').count(), 0, 'the folder is closed'));
    assert.equal(await byId(page, 'folder-Services').getAttribute('aria-expanded'), 'false');
    await page.keyboard.press('Enter');
    await byId(page, 'dashboard-overview').waitFor();
    await page.keyboard.press('ArrowDown');
    await until(async () => assert.equal(await focused(), 'dashboard-overview'));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Shop overview' }).waitFor();
  }));

test('search and tags', () =>
  onPage(listUrl, async (page) => {
    const tree = byId(page, 'dashboard-tree');
    await byId(page, 'search').fill('without DATA');
    await until(async () => assert.equal(await byId(page, 'dashboard-overview').count(), 0));
    await byId(tree, 'dashboard-hidden').waitFor();
    await page.waitForURL(/search=without/);
    await page.reload();
    await byId(tree, 'dashboard-hidden').waitFor();
    assert.equal(await byId(page, 'dashboard-overview').count(), 0, 'a reload keeps the search');
    await byId(page, 'search').fill('no such thing');
    await page.getByText('No dashboard matches').waitFor();
    await page.getByRole('button', { name: 'Show all' }).click();
    await byId(page, 'dashboards-tag').selectOption('team-shop');
    await until(async () => assert.equal(await byId(page, 'dashboard-hidden').count(), 0));
    await byId(tree, 'dashboard-overview').waitFor();
  }));

test('variables, time range and a reload', () =>
  onPage(dashboardUrl(here.dashboard), async (page) => {
    await isOverview(page);
    const asked = page.waitForRequest((request) => (request.postData() ?? '').includes(encodeURIComponent('[15m]')));
    await page.getByRole('combobox', { name: 'Window' }).click();
    await page.getByRole('option', { name: '15m' }).click();
    await asked;
    await page.waitForURL(/var-window=15m/);
    await says(panel(page, 'About'), 'What it does in 15m.');
    await page.getByRole('button', { name: /^Last|^\d{4}-|select time range/i }).or(page.getByRole('combobox', { name: /time range/i })).first().click();
    await page.getByText('Last 6 hours', { exact: true }).click();
    await page.waitForURL(/start=6h/);
    await page.reload();
    await says(panel(page, 'About'), 'What it does in 15m.');
    await says(byId(page, 'dashboard-toolbar'), 'Last 6 hours');
    assert.match(page.url(), /start=6h/);
    assert.match(page.url(), /var-window=15m/);
    await page.getByRole('button', { name: 'Zoom out' }).click();
    await page.waitForURL(/[?&]end=\d{13}/);
  }));

test('one panel in full, its data and its queries', () =>
  onPage(dashboardUrl(here.dashboard), async (page) => {
    await isDrawn(page, 'Requests by handler');
    const chart = panel(page, 'Requests by handler');
    await chart.locator('canvas').first().hover();
    const coming = page.waitForEvent('download');
    await chart.getByRole('button', { name: /csv/i }).click();
    assert.match(await readFile(await (await coming).path(), 'utf8'), /^DateTime,/);
    await chart.getByRole('button', { name: /^open query view/ }).click();
    const dialog = page.getByRole('dialog');
    await says(dialog, 'http_requests_total');
    await screenshot(page, 'dashboard-queries-light');
    await dialog.getByRole('button', { name: 'Close' }).click();
    await chart.getByRole('button', { name: /^toggle panel .* view mode$/ }).click();
    await page.waitForURL(/viewPanelRef/);
    await until(async () => assert.ok((await chart.boundingBox()).width > 0.8 * desktop.width));
    await page.reload();
    await until(async () => assert.ok((await chart.boundingBox()).width > 0.8 * desktop.width));
  }));

test('the source of a dashboard', () =>
  onPage(dashboardUrl(here.dashboard), async (page) => {
    await byId(page, 'dashboard-view-source').click();
    await says(byId(page, 'dashboard-kubectl'), new RegExp(`^kubectl get persesdashboards\\.perses\\.dev ${here.dashboard} -n \\S+ -o yaml$`));
    await says(byId(page, 'dashboard-source'), /kind: Dashboard\b[^]*PrometheusTimeSeriesQuery/);
    await screenshot(page, 'dashboard-source-light');
    await isAccessible(page, 'the source of a dashboard');
    await page.getByRole('combobox', { name: 'Format' }).selectOption('json');
    await until(async () => assert.equal(JSON.parse(await byId(page, 'dashboard-source').textContent()).metadata.name, here.dashboard));
    await byId(page, 'dialog-close').click();
  }));

test('a data source that nobody can use', () =>
  onPage(
    dashboardUrl('hidden'),
    async (page) => {
      await says(byId(page, 'dashboard-hidden'), /forgotten: \w+/);
      await says(panel(page, 'Lost'), 'The data source forgotten cannot be used');
      await screenshot(page, 'dashboard-hidden-light');
      await isAccessible(page, 'a dashboard without data');
    },
    { allow: [/The data source forgotten cannot be used/] },
  ));

/** What the browser says of the hostile dashboard when it refuses; and React, of panels that cannot be shown. */
const refusals = [
  /^script-src-attr inline/,
  /^style-src-elem inline/,
  /^img-src https:\/\/elsewhere\.example/,
  /violates the following Content Security Policy directive/,
  /The data source direct cannot be used/,
  /plugin for kind 'Panel' is not installed/,
];

test('a dashboard that would run something', () =>
  onPage(
    dashboardUrl('hostile'),
    async (page, context) => {
      const isHarmless = async () => {
        assert.notEqual(await page.title(), 'hacked');
        assert.equal(new URL(page.url()).origin, new URL(here.url).origin);
        assert.equal(context.pages().length, 1, 'no other page is open');
      };
      await isDrawn(page, 'Names');
      await says(panel(page, 'Cells'), '<img src=x');
      await says(panel(page, 'Unknown kind'), 'is not installed');
      const text = panel(page, "<img src=x onerror=document.title='hacked'>").first();
      for (const element of ['script', 'iframe', 'style', 'form', 'button:not([aria-label])', '[onerror]', '[onload]']) {
        assert.equal(await text.locator(`figure ${element}`).count(), 0, element);
      }
      await screenshot(page, 'dashboard-hostile-light');
      for (const name of ['markdown link', 'html link']) await text.getByText(name).click();
      for (const name of ['run', 'run by variable', 'run another way']) {
        await text.getByRole('button', { name: 'Panel links' }).click();
        await page.getByRole('menuitem').filter({ hasText: new RegExp(`^${name}$`) }).click();
        await isHarmless();
        await page.keyboard.press('Escape');
        await page.getByRole('menuitem').first().waitFor({ state: 'detached' });
      }
      await panel(page, 'One link').getByRole('link', { name: 'run alone' }).click();
      await panel(page, 'Names').locator('canvas').first().hover();
      await isHarmless();
      await page.waitForTimeout(200);
      await isHarmless();
    },
    { allow: refusals },
  ));

/** Changes the project's namespace as whoever deploys does. */
function kubectl(verb, text) {
  execFileSync(here.kubectl, [verb, '--kubeconfig', here.kubeconfig, '-n', here.project, '-f', '-'], { input: text.replaceAll('NAMESPACE', here.project) });
}

test('a dashboard that changes while somebody looks', async (t) => {
  const overview = await readFile(new URL('objects/overview.yaml', import.meta.url), 'utf8');
  const before = overview.replace('name: overview', 'name: changing');
  kubectl('apply', before);
  t.after(() => kubectl('delete', before));
  await onPage(dashboardUrl('changing', { 'var-window': '15m' }), async (page) => {
    await says(panel(page, 'About'), 'What it does in 15m.');
    kubectl('apply', before.replace('## The shop', '## The other shop').replace('Shop overview', 'Other overview'));
    const changed = Date.now();
    await panel(page, 'About').getByRole('heading', { name: 'The other shop' }).waitFor();
    t.diagnostic(`the change was shown after ${Date.now() - changed} ms`);
    await page.getByRole('heading', { level: 1, name: 'Other overview' }).waitFor();
    await says(panel(page, 'About'), 'What it does in 15m.');
    assert.equal(await page.getByRole('combobox', { name: 'Window' }).inputValue(), '15m');
  });
});

test('somebody who is a member of nothing', () =>
  visit({ allow: [404, 429] }, async (page) => {
    await signInAt(page, { base: here.url, ...here.nobody });
    await page.goto(listUrl);
    await page.getByRole('alert').waitFor();
    assert.equal(await byId(page, 'dashboard-tree').count(), 0);
    await page.goto(dashboardUrl(here.dashboard));
    await page.getByRole('alert').waitFor();
    assert.equal(await byId(page, 'panel').count(), 0);
  }));

for (const [mode, { url, projects, tokens }] of Object.entries(here.modes)) {
  for (const [name, seen] of Object.entries(projects)) {
    test(`what RBAC shows ${name}, read with credentials: ${mode}`, () =>
      visit({ allow: [404, 429] }, async (page) => {
        await signInAt(page, { base: url, token: tokens[name] });
        for (const project of projects.platform) {
          await page.goto(at(url, `ui/projects/${project}/dashboards`));
          if (!seen.includes(project)) {
            await says(page.getByRole('alert'), 'no such project');
            continue;
          }
          await says(byId(page, 'dashboard-overview'), `Overview of ${project}`);
          await says(byId(page, 'missing-gone'), 'not deployed');
          await byId(page, 'dashboard-node.exporter').click();
          await page.getByRole('heading', { level: 1, name: 'node.exporter' }).waitFor();
          await page.reload();
          await page.getByRole('heading', { level: 1, name: 'node.exporter' }).waitFor();
        }
      }));
  }
}

test('a dashboard that is not there', () =>
  onPage(
    dashboardUrl('no-such-dashboard'),
    async (page) => {
      await page.getByRole('alert').waitFor();
      await page.getByRole('link', { name: /^All dashboards of/ }).click();
      await byId(page, 'dashboard-tree').waitFor({ timeout: patience });
    },
    { allow: [404] },
  ));
