// Explore, driven as a person would: on the demonstration, whose data is like life, and on the site, whose data is known.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { byId, explore, says, stage, until, visit } from './stage.mjs';
import { sessionOf } from './people.mjs';
import { addressedSpan, answered, ask, drag, editor, ink, legendColours, legendItem, legendNames, plotBox, queryText, run, write } from './explore.mjs';

const { demo, site } = stage;
const known = { from: site.from, to: site.to };
const start = Date.parse(site.from) / 1000;
const end = Date.parse(site.to) / 1000;
const option = (page, text) => page.locator('.cm-tooltip-autocomplete li[aria-selected="true"]').filter({ hasText: text });

/** Takes the chosen completion. Within a moment of its appearance the editor ignores keys: the list jumped in. */
async function acceptCompletion(page, text) {
  await option(page, text).waitFor();
  await until(async () => {
    await page.keyboard.press('Enter');
    assert.equal(await option(page, text).count(), 0);
  }, 5_000);
}

async function onDemo(act) {
  await visit({ session: await sessionOf('demo') }, act);
}

async function onSite(state, act, options = {}) {
  await visit({ session: await sessionOf('maintainer'), ...options }, async (page) => {
    await page.goto(explore(site.url, 'shop', 'production', state));
    await act(page);
  });
}

test('a query, from the keyboard to the chart', () =>
  onDemo(async (page) => {
    await page.goto(explore(demo.url, 'shop', 'production'));
    await page.getByText('Ask this environment something').waitFor();
    await editor(page).click();
    await page.keyboard.type('sum by (co');
    await acceptCompletion(page, 'code');
    await page.keyboard.type(') (rate(http_requests_to');
    await acceptCompletion(page, 'http_requests_total');
    await page.keyboard.type('[5m]))');
    const query = 'sum by (code) (rate(http_requests_total[5m]))';
    assert.equal(await queryText(page), query);
    await page.keyboard.press('Enter');
    await answered(page);
    assert.equal(new URL(page.url()).searchParams.get('q'), query);

    const names = await legendNames(page);
    const codes = (await ask(page, 'shop', 'production', 'query', { query: 'group by (code) (http_requests_total)' })).map(({ metric }) => metric.code);
    assert.deepEqual(names.sort(), codes.map((code) => `{code="${code}"}`).sort());
    assert.ok(names.length > 1, 'there are several series');
    const drawn = await ink(page, await legendColours(page));
    assert.ok(drawn.every((pixels) => pixels > 100), `each series is drawn: ${drawn}`);
  }));

test('one series alone, and all of them again', () =>
  onSite({ ...known, q: 'queue_depth' }, async (page) => {
    await answered(page);
    const colours = await legendColours(page);
    assert.equal(colours.length, 2);
    await legendItem(page, 1).click();
    await until(async () => {
      const [first, second] = await ink(page, colours);
      assert.equal(first, 0, 'the other one is gone');
      assert.ok(second > 100);
    });
    assert.equal(await legendItem(page, 0).getAttribute('aria-selected'), 'false');
    await legendItem(page, 1).click();
    await until(async () => assert.ok((await ink(page, colours)).every((pixels) => pixels > 100)));
  }));

test('a drag over the chart zooms, back undoes it, and Zoom out doubles', () =>
  onSite({ ...known, q: 'queue_depth' }, async (page) => {
    await answered(page);
    await drag(page, 0.25, 0.5);
    await until(() => assert.ok(addressedSpan(page)?.from > start));
    const { from, to } = addressedSpan(page);
    assert.ok(Math.abs(from - (start + 900)) < 20, `from ${from - start} s on`);
    assert.ok(Math.abs(to - (start + 1800)) < 20, `to ${to - start} s`);
    await answered(page);
    await says(byId(page, 'explore-range'), /2026-01-01 00:1[45]:\d\d to 00:(29|30):\d\d/);
    await page.goBack();
    await until(() => assert.deepEqual(addressedSpan(page), { from: start, to: end }));
    await page.getByRole('button', { name: 'Zoom out' }).click();
    await until(() => assert.deepEqual(addressedSpan(page), { from: start - 1800, to: end + 1800 }));
  }));

test('the values at the pointer', () =>
  onSite({ ...known, q: 'queue_depth', step: '15s' }, async (page) => {
    await answered(page);
    const { x, y, width, height } = await plotBox(page);
    await page.mouse.move(x + width / 2, y + height / 2);
    const tooltip = byId(page, 'explore-chart').locator('xpath=following-sibling::div');
    // In the middle one has gone up by one each 15 seconds, and the other one down from 240.
    await says(tooltip, /2026-01-01 00:(29:[345]\d|30:[0-2]\d)/);
    const values = (await tooltip.innerText()).match(/^\d+$/gm).map(Number);
    assert.equal(values.length, 2);
    assert.equal(values[0] + values[1], 240);
    assert.ok(Math.abs(values[0] - 120) <= 2);
  }));

test('the table has the values at the end of the range', () =>
  onSite({ ...known, q: 'sum by (handler) (rate(http_requests_total{namespace="shop"}[5m]))' }, async (page) => {
    await answered(page);
    await byId(page, 'explore-mode-table').click();
    await byId(page, 'explore-table').getByRole('table').waitFor();
    assert.equal(new URL(page.url()).searchParams.get('mode'), 'table');
    const cells = await byId(page, 'explore-table').getByRole('cell').allInnerTexts();
    const values = new Map([[cells[0], Number(cells[1])], [cells[2], Number(cells[3])]]);
    assert.deepEqual([...values.keys()].sort(), ['/', '/cart']);
    assert.ok(Math.abs(values.get('/') - 10.2) < 0.001, `${values.get('/')}`);
    assert.ok(Math.abs(values.get('/cart') - 5.4) < 0.001, `${values.get('/cart')}`);
    const header = page.getByRole('columnheader', { name: 'Value' });
    for (const [order, first] of [['descending', '/'], ['ascending', '/cart']]) {
      await header.getByRole('button').click();
      await until(async () => assert.equal(await header.getAttribute('aria-sort'), order));
      assert.equal(await byId(page, 'explore-table').getByRole('cell').first().innerText(), first);
    }
  }));

test('the address is the whole view: a reload shows the same', () =>
  onSite(known, async (page) => {
    await write(page, 'queue_depth');
    await byId(page, 'explore-add-query').click();
    await write(page, 'sum(queue_depth)', 1);
    await run(page);
    await byId(page, 'explore-step').selectOption('1m');
    await byId(page, 'explore-unit').selectOption({ index: 2 });
    await page.getByRole('button', { name: 'Stacked' }).click();
    await answered(page);
    const look = async () => {
      await answered(page);
      return {
        queries: [await queryText(page, 0), await queryText(page, 1)],
        legend: await byId(page, 'explore-legend').innerText(),
        range: await byId(page, 'explore-range').innerText(),
        step: await byId(page, 'explore-step').inputValue(),
        unit: await byId(page, 'explore-unit').inputValue(),
        stacked: await page.getByRole('button', { name: 'Stacked' }).getAttribute('aria-pressed'),
      };
    };
    const before = await look();
    assert.deepEqual(before.queries, ['queue_depth', 'sum(queue_depth)']);
    assert.equal((await legendNames(page)).length, 3);
    assert.equal(before.step, '1m');
    await page.reload();
    assert.deepEqual(await look(), before);
  }));

test('a query that is none', () =>
  onSite(
    known,
    async (page) => {
      await write(page, 'queue_depth + * 2');
      await byId(page, 'explore-run').click();
      await says(byId(page, 'explore-error-0'), /1:15: parse error: unexpected <op:\*>/);
      await until(async () => assert.equal(await page.locator('.cm-answerError').innerText(), '*'));
      await page.getByText('There is nothing to show: what went wrong is said at the query.').waitFor();
      await write(page, 'queue_depth * 2');
      await run(page);
      assert.equal(await byId(page, 'explore-error-0').count(), 0, 'the sentence goes with what it was about');
    },
    { allow: [400] },
  ));

test('the data as CSV', () =>
  onSite({ ...known, q: 'queue_depth', step: '1m' }, async (page) => {
    await answered(page);
    const coming = page.waitForEvent('download');
    await byId(page, 'explore-csv').click();
    const download = await coming;
    assert.equal(download.suggestedFilename(), 'shop-production-2026-01-01T010000Z.csv');
    const [head, ...rows] = (await readFile(await download.path(), 'utf8')).trimEnd().split('\r\n');
    const series = await ask(page, 'shop', 'production', 'query_range', { query: 'queue_depth', start, end, step: 60 });
    assert.equal(series.length, 2);
    assert.equal(rows.length, 61);
    for (const { metric, values } of series) assert.ok(head.includes(`namespace=""${metric.namespace}""`), `${head} names ${values.length} values of ${metric.namespace}`);
    const expected = series[0].values.map(([time, value], row) => [new Date(time * 1000).toISOString(), value, series[1].values[row][1]].join(','));
    assert.deepEqual(rows, expected);
  }));

test('metrics to choose from, and queries of before', () =>
  onDemo(async (page) => {
    await page.goto(explore(demo.url, 'billing', 'staging'));
    await page.getByRole('button', { name: 'Metrics', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Metrics' });
    await dialog.getByRole('combobox', { name: 'Search metrics' }).fill('request duration');
    await says(dialog.getByRole('status'), /^\d+ of \d+ metrics/);
    await dialog.getByRole('combobox').fill('http_requests_total');
    await dialog.getByRole('option', { name: /^http_requests_total/ }).click();
    await until(async () => assert.equal(await queryText(page), 'http_requests_total'));
    await run(page);
    assert.ok((await legendNames(page)).length > 3);
    await page.goto(explore(demo.url, 'billing', 'staging'));
    await byId(page, 'explore-recent').click();
    await page.getByRole('dialog', { name: 'Recent queries' }).getByRole('button', { name: 'http_requests_total' }).click();
    await answered(page);
    assert.equal(await queryText(page), 'http_requests_total');
    await page.goto(explore(demo.url, 'billing', 'production'));
    await byId(page, 'explore-recent').click();
    await page.getByText('No queries yet.').waitFor();
  }));
