// What servers answer is text, whatever it looks like: label values that are HTML, and a server that is none of Prometheus.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { at, byId, explore, says, stage, until, visit } from './stage.mjs';
import { sessionOf } from './people.mjs';
import { answered, editor, legendNames, plotBox, queryText } from './explore.mjs';

const { site } = stage;
const html = `<img src=x onerror="document.title='hacked'">`;
const known = { from: site.from, to: site.to };

/** Nothing of it has become a part of the page. */
async function isHarmless(page) {
  assert.equal(await page.locator('img').count(), 0, 'there is no image');
  assert.notEqual(await page.title(), 'hacked');
}

async function onSite(state, act, options = {}) {
  await visit({ session: await sessionOf('maintainer'), ...options }, async (page) => {
    // The page completes what is there now: for it, now is when the site's servers have data.
    await page.clock.install({ time: new Date(site.to) });
    await page.goto(explore(site.url, 'shop', 'production', state));
    await act(page);
    await isHarmless(page);
  });
}

test('a label value in the legend and at the pointer', () =>
  onSite({ ...known, q: ['hostile', 'queue_depth'] }, async (page) => {
    await answered(page);
    assert.ok((await legendNames(page)).some((name) => name.includes('<img src=x')), 'the legend shows it');
    assert.ok((await byId(page, 'explore-legend-item-0').getAttribute('title')).includes('<img src=x'));
    const { x, y, width, height } = await plotBox(page);
    await page.mouse.move(x + width / 2, y + height - 4);
    await says(byId(page, 'explore-chart').locator('xpath=following-sibling::div'), '<img src=x');
    await isHarmless(page);
    await byId(page, 'explore-legend-item-0').click();
  }));

test('a label value in the table and in the file', () =>
  onSite({ ...known, q: 'hostile or queue_depth', mode: 'table' }, async (page) => {
    await answered(page);
    await byId(page, 'explore-table').getByRole('cell', { name: html, exact: true }).waitFor();
    const coming = page.waitForEvent('download');
    await byId(page, 'explore-csv').click();
    const csv = await readFile(await (await coming).path(), 'utf8');
    assert.ok(csv.includes(`"${html.replaceAll('"', '""')}"`), csv);
  }));

test('a label value as a completion', () =>
  onSite(known, async (page) => {
    await editor(page).click();
    await page.keyboard.type('hostile{html="<im');
    const option = page.locator('.cm-tooltip-autocomplete li').filter({ hasText: '<img src=x' });
    await option.waitFor();
    await isHarmless(page);
    await until(async () => {
      await page.keyboard.press('Enter');
      assert.equal(await option.count(), 0);
    });
    const written = await queryText(page);
    assert.ok(written.startsWith('hostile{html="<img src=x onerror='), written);
  }));

test('the address as a query', () =>
  onSite(
    { ...known, q: html },
    async (page) => {
      await says(byId(page, 'explore-error-0'), 'parse error');
      assert.equal(await queryText(page), html);
    },
    { allow: [400] },
  ));

test('a server that answers with a page', async () => {
  await visit({ session: await sessionOf('maintainer'), allow: [502] }, async (page) => {
    await page.goto(at(site.url, 'ui/?search=html'));
    await says(byId(page, 'env-row-web-html'), /Down/);
    await page.goto(explore(site.url, 'web', 'html', { q: 'up' }));
    const error = byId(page, 'explore-error-0');
    await says(error, /\w+ \w+ \w+/);
    assert.doesNotMatch(await error.innerText(), /<script|<img|^undefined/, 'it is a sentence');
    await isHarmless(page);
    await page.goto(at(site.url, 'ui/projects/web/environments/html/diagnosis'));
    await says(byId(page, 'diagnosis-summary'), /^Stops at /);
    await isHarmless(page);
  });
});
