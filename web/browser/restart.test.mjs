// The gateway is updated while people work with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, byId, explore, stage, until, visit } from './stage.mjs';
import { people, sessionValue, signInAt, whoIs } from './people.mjs';
import { answered, run, write } from './explore.mjs';

const { site } = stage;

test('a session outlives a restart of the gateway', async () => {
  // While the gateway is away the page may say that it cannot be reached.
  await visit({ allow: [429, 502, 503, /ERR_CONNECTION/] }, async (page, context) => {
    await signInAt(page, people.maintainer);
    await page.goto(explore(site.url, 'shop', 'production', { q: 'queue_depth', from: site.from, to: site.to }));
    await answered(page);
    const cookie = await sessionValue(context, site.url);
    assert.equal((await fetch(site.restart, { method: 'POST' })).status, 200);
    await write(page, 'queue_depth * 2');
    await run(page);
    await until(async () => assert.equal(await page.getByText(/cannot be reached/).count(), 0));
    assert.equal(await sessionValue(context, site.url), cookie);
    assert.equal(await whoIs(context, site.url), site.maintainer.name);
    await page.goto(at(site.url, 'ui/'));
    await byId(page, 'env-row-shop-production').waitFor();
  });
});
