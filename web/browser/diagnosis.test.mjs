// Where a query's way ends, and what to do about it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, byId, says, stage, until, visit } from './stage.mjs';
import { sessionOf } from './people.mjs';

const { demo, site } = stage;
const screen = (base, project, environment) => at(base, `ui/projects/${project}/environments/${environment}/diagnosis`);
const hops = (page) => page.getByRole('list', { name: 'Hops' }).getByRole('listitem');

test('everything works', async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    await page.goto(screen(demo.url, 'shop', 'production'));
    await says(byId(page, 'diagnosis-summary'), /^Everything (that was checked )?works/);
    const states = await hops(page).evaluateAll((items) => items.map((item) => item.dataset.status));
    assert.ok(states.includes('ok') && !states.includes('failed'), `${states}`);
    await says(hops(page).filter({ hasText: 'Prometheus' }).first(), /Prometheus/);
    await byId(page, 'diagnosis-run').click();
    await until(async () => assert.equal(await byId(page, 'diagnosis-run').innerText(), 'Run again'));
  });
});

test('a right that is missing, and the Role that gives it', async () => {
  const options = { session: await sessionOf('maintainer'), permissions: ['clipboard-read', 'clipboard-write'] };
  await visit(options, async (page) => {
    await page.goto(screen(site.url, 'shop', 'forbidden'));
    await says(byId(page, 'diagnosis-summary'), /^Stops at RBAC: /);
    const failed = page.locator('[data-testid^="hop-"][data-status="failed"]');
    assert.equal(await failed.count(), 1);
    const yaml = await failed.getByRole('region', { name: 'YAML to apply' }).innerText();
    assert.match(yaml, /^kind: Role$/m);
    assert.match(yaml, /services\/proxy/);
    assert.match(yaml, /namespace: "browser-shop"/);
    await failed.getByRole('button', { name: 'Copy the YAML' }).click();
    await failed.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), yaml.trim());
  });
});

test('what only maintainers are told', async () => {
  await visit({ session: await sessionOf('viewer') }, async (page) => {
    await page.goto(screen(site.url, 'shop', 'forbidden'));
    await says(byId(page, 'diagnosis-summary'), 'Stops at RBAC: Ask a maintainer for the details.');
    assert.ok(!(await page.locator('main').innerText()).includes('browser-shop'), 'a viewer learns no names of the cluster');
  });
});
