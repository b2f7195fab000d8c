// From nothing to a client that asks, and to its end: made on the Connect page, used by the real promtool, seen, rotated,
// revoked.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { at, byId, says, stage, until, visit } from './stage.mjs';
import { sessionOf } from './people.mjs';

const { demo } = stage;
const dir = await mkdtemp(join(tmpdir(), 'promgate-browser-'));
after(() => rm(dir, { recursive: true }));

// Names that no run of the tests before has given a token.
const [used, handedOver] = ['promtool', 'handed over'].map((name) => `${name} ${randomUUID().slice(0, 8)}`);
const rowOf = (page, description) => page.locator('[data-testid^="token-row-"]').filter({ hasText: description });

/** Runs the page's own command where its own file is. */
async function promtool(command) {
  const [program, ...args] = command.split(' ');
  assert.equal(program, 'promtool');
  return new Promise((done) => {
    execFile(stage.promtool, args, { cwd: dir }, (error, stdout, stderr) => done({ status: error ? error.code : 0, stdout, stderr }));
  });
}

/** Makes a token as somebody does who is about to connect promtool; returns the command that the page tells. */
async function connect(page, description) {
  await page.goto(at(demo.url, 'ui/projects/shop/environments/production/connect'));
  await byId(page, 'token-description').fill(description);
  await byId(page, 'token-create').click();
  await byId(page, 'token-secret').waitFor();
  await byId(page, 'snippet-tab-promtool').click();
  const panel = page.getByRole('tabpanel', { name: 'promtool' });
  const coming = page.waitForEvent('download');
  await panel.getByRole('button', { name: /^Download/ }).click();
  const download = await coming;
  await download.saveAs(join(dir, download.suggestedFilename()));
  return /promtool query .*$/m.exec(await panel.innerText())[0];
}

test('a token for promtool, until it is revoked', async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    const command = await connect(page, used);
    const secret = await byId(page, 'token-secret').innerText();
    for (const kind of ['grafana', 'perses', 'perses-kubernetes', 'promtool', 'curl']) {
      assert.ok((await byId(page, `snippet-${kind}`).textContent()).includes(secret), `the token is in the snippet for ${kind}`);
    }
    await says(byId(page, 'first-request'), 'Waiting for the first request');

    const good = await promtool(command);
    assert.equal(good.status, 0, good.stderr);
    assert.match(good.stdout, /up\{.*job="shop".*\} => 1 @/);
    await says(byId(page, 'first-request'), /promtool asked/);
    assert.equal(await byId(page, 'first-request').getAttribute('data-used'), 'true');

    await page.getByRole('link', { name: 'Tokens of shop' }).click();
    const row = rowOf(page, used);
    await says(row, /production[^]*by (local:)?demo[^]*promtool[^]*Active/i);
    assert.ok(!(await page.content()).includes(secret), 'the token is shown only once');
    await row.getByRole('button', { name: 'Revoke' }).click();
    await says(page.getByRole('dialog'), new RegExp(`Revoke “${used}”\\?[^]*cannot be undone[^]*promtool used it`));
    await byId(page, 'dialog-close').click();
    await row.getByRole('button', { name: 'Revoke' }).click();
    await byId(page, 'confirm').click();
    await row.waitFor({ state: 'detached' });
    const refused = await until(async () => {
      const answer = await promtool(command);
      assert.notEqual(answer.status, 0);
      return answer;
    }, 5_000);
    assert.match(refused.stderr, /401|nauthorized|token/);
    await byId(page, 'token-show-all').click();
    await says(row, /revoked/i);
  });
});

test('a rotation hands over from one token to the next', async () => {
  await visit({ session: await sessionOf('demo'), permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    const command = await connect(page, handedOver);
    await page.getByRole('link', { name: 'Tokens of shop' }).click();
    const row = rowOf(page, handedOver);
    await row.getByRole('button', { name: 'Rotate' }).click();
    await byId(page, 'token-overlap').selectOption({ label: '1 hour' });
    await byId(page, 'confirm').click();
    const secret = await byId(page, 'token-secret').innerText();
    await page.getByRole('dialog').getByRole('button', { name: 'Copy the token' }).click();
    await until(async () => assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret));
    await byId(page, 'dialog-close').click();
    await until(async () => assert.equal(await row.count(), 2));
    assert.equal((await promtool(command)).status, 0, 'the old one goes on for an hour');
    const headers = { Authorization: `Bearer ${secret}` };
    const answer = await fetch(at(demo.url, 'projects/shop/environments/production/api/v1/query?query=up'), { headers });
    assert.equal(answer.status, 200, 'and the new one is good');

    const newer = rowOf(page, handedOver).and(page.locator('[data-state="active"]'));
    await newer.getByRole('button', { name: 'Rotate' }).click();
    await byId(page, 'token-overlap').selectOption({ label: 'Not at all' });
    await byId(page, 'confirm').click();
    await byId(page, 'token-secret').waitFor();
    await until(async () => {
      const late = await fetch(at(demo.url, 'projects/shop/environments/production/api/v1/query?query=up'), { headers });
      assert.equal(late.status, 401);
    }, 5_000);
  });
});

test('a token of one environment does not open another', async () => {
  await visit({ session: await sessionOf('demo') }, async (page) => {
    await page.goto(at(demo.url, 'ui/projects/shop/tokens'));
    await byId(page, 'token-new').click();
    await byId(page, 'token-create').click();
    await page.getByText('Say what the token is for, such as Grafana.').waitFor();
    await page.getByText('Choose an environment.').waitFor();
    await byId(page, 'token-description').fill('only staging');
    await byId(page, 'token-environment').fill('stag');
    await page.getByRole('option', { name: 'staging' }).click();
    await byId(page, 'token-create').click();
    const headers = { Authorization: `Bearer ${await byId(page, 'token-secret').innerText()}` };
    const status = async (environment) => (await fetch(at(demo.url, `projects/shop/environments/${environment}/api/v1/query?query=up`), { headers })).status;
    assert.equal(await status('staging'), 200);
    assert.equal(await status('production'), 403);
  });
});
