// The list of projects and environments, and the ways through it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, byId, says, stage, until, visit } from './stage.mjs';
import { sessionOf } from './people.mjs';

const { demo } = stage;
const row = (page, project, environment) => byId(page, `env-row-${project}-${environment}`);
const rows = (page) => page.locator('[data-testid^="env-row-"]');

test('all environments, with what answers there', async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    await page.goto(at(demo.url, 'ui/'));
    await until(async () => assert.equal(await rows(page).count(), 4));
    for (const project of ['shop', 'billing']) {
      await page.getByRole('heading', { name: project }).waitFor();
      for (const environment of ['production', 'staging']) await says(row(page, project, environment), /Up[^]*Prometheus 3\.\d+\.\d+/);
    }
    assert.equal(await page.title(), 'Projects · promgate');
  });
});

test('a search narrows, stays in the address, and goes again', async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    await page.goto(at(demo.url, 'ui/'));
    await byId(page, 'search').fill('bill');
    await until(async () => assert.equal(await rows(page).count(), 2));
    await row(page, 'billing', 'staging').waitFor();
    assert.equal(new URL(page.url()).search, '?search=bill');
    await page.reload();
    await until(async () => assert.equal(await rows(page).count(), 2));
    assert.equal(await byId(page, 'search').inputValue(), 'bill');
    await byId(page, 'search').fill('there is no such thing');
    await page.getByText('Nothing matches “there is no such thing”').waitFor();
    await page.getByRole('button', { name: 'Clear the search', exact: true }).last().click();
    await until(async () => assert.equal(await rows(page).count(), 4));
  });
});

test('into an environment, to another one, and back', async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    await page.goto(at(demo.url, 'ui/'));
    await row(page, 'shop', 'production').getByRole('link', { name: 'Connect shop production' }).click();
    await says(page.getByRole('heading', { level: 1 }), 'production');
    assert.equal(await page.title(), 'Connect · shop / production · promgate');
    await byId(page, 'environment-switcher').fill('billing stag');
    await page.getByRole('group', { name: 'billing' }).getByRole('option', { name: 'staging' }).click();
    await page.waitForURL(at(demo.url, 'ui/projects/billing/environments/staging/connect'));
    await says(byId(page, 'env-url'), at(demo.url, 'projects/billing/environments/staging'));
    await page.goBack();
    await says(byId(page, 'env-url'), at(demo.url, 'projects/shop/environments/production'));
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Projects' }).click();
    await row(page, 'billing', 'staging').waitFor();
  });
});

test('what is not there, or not for this person', async () => {
  await visit({ session: await sessionOf('demo'), allow: [403, 404] }, async (page) => {
    await page.goto(at(demo.url, 'ui/no/such/screen'));
    await page.getByRole('heading', { name: 'There is nothing here' }).waitFor();
    await page.goto(at(demo.url, 'ui/projects/shop/environments/secret/explore'));
    await says(page.getByRole('alert'), 'shop / secret cannot be shown');
    await page.getByRole('link', { name: 'Go to your projects' }).click();
    await row(page, 'shop', 'production').waitFor();
  });
});
