// Every way to sign in, and out again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, byId, explore, says, stage, until, visit } from './stage.mjs';
import { atProvider, changeAccount, people, sessionValue, signIn, signInAt, toProvider, whoIs } from './people.mjs';
import { queryText } from './explore.mjs';

const { site } = stage;
const signin = at(site.url, 'ui/signin');
const alert = (page) => page.getByRole('alert');
const row = (page, project, environment) => byId(page, `env-row-${project}-${environment}`);

test('a password', async () => {
  await visit({ allow: [401, 429] }, async (page, context) => {
    const { demo } = people;
    await page.goto(at(demo.base, 'ui/'));
    await page.waitForURL('**/ui/signin');
    await signIn(page, { ...demo, password: 'wrong' });
    await says(alert(page), 'the user name or the password is wrong');
    await signIn(page, demo);
    await row(page, 'shop', 'production').waitFor();
    assert.equal(page.url(), at(demo.base, 'ui/'));
    assert.equal(await page.evaluate(() => document.cookie), '', 'scripts see no cookie');
    assert.equal(await whoIs(context, demo.base), demo.name);
  });
});

test('whoever is not there is told the same as with a wrong password', async () => {
  await visit({ allow: [401, 429] }, async (page) => {
    await page.goto(signin);
    await signIn(page, { name: 'nobody-of-that-name', password: 'wrong' });
    await says(alert(page), 'the user name or the password is wrong');
  });
});

test('the provider, and back to the question that was asked for', async () => {
  await visit({ allow: [429] }, async (page) => {
    const query = 'sum by (handler) (rate(http_requests_total{code=~"2.."}[5m]))';
    const asked = explore(site.url, 'shop', 'production', { q: query, from: site.from, to: site.to });
    await page.goto(asked);
    await page.waitForURL(signin);
    await toProvider(page);
    await atProvider(page, 'anna');
    await byId(page, 'explore-legend').waitFor();
    assert.equal(await queryText(page), query);
    const [to, from] = [page.url(), asked].map((text) => new URL(text));
    assert.equal(to.origin + to.pathname, from.origin + from.pathname);
    assert.equal(to.searchParams.get('q'), query);
    assert.equal(Date.parse(to.searchParams.get('from')), Date.parse(site.from));
    await byId(page, 'user-menu').click();
    await says(page.getByRole('dialog', { name: 'Account' }), /anna[^]*provider[^]*team-shop/);
  });
});

test('cancelled at the provider', async () => {
  await visit({ allow: [429] }, async (page, context) => {
    await page.goto(signin);
    await toProvider(page);
    await page.locator('#cancel').click();
    await says(alert(page), 'Your provider refused the sign-in, or you cancelled it. Try again.');
    assert.equal(await whoIs(context, site.url), null);
    await byId(page, 'signin-oidc').waitFor();
  });
});

test('an account that is switched off at the provider is out soon', async () => {
  await changeAccount('eva', { password: 'eva-password', groups: ['team-shop'] });
  await visit({ allow: [401, 429] }, async (page, context) => {
    await page.goto(signin);
    await toProvider(page);
    await atProvider(page, 'eva');
    await row(page, 'shop', 'production').waitFor();
    await changeAccount('eva', { disabled: true });
    // The page asks for the list's health by itself every ten seconds, and so notices without a hand on it.
    await page.waitForURL(signin, { timeout: 30_000 });
    await page.getByText('Your session has ended. Sign in again to go on.').waitFor();
    assert.equal(await whoIs(context, site.url), null);
  });
});

test('a Kubernetes token of somebody who may query', async () => {
  await visit({ allow: [401, 429] }, async (page) => {
    await signInAt(page, people.kubernetesViewer);
    await row(page, 'shop', 'production').waitFor();
    await row(page, 'own', 'production').waitFor();
    await page.goto(explore(site.url, 'own', 'production', { q: 'queue_depth', from: site.from, to: site.to }));
    await byId(page, 'explore-legend').getByText('shop').waitFor();
    await page.goto(at(site.url, 'ui/projects/shop/environments/production/connect'));
    await page.getByText('A maintainer of shop can make a token for you.').waitFor();
    assert.equal(await byId(page, 'token-create').count(), 0);
    await page.goto(at(site.url, 'ui/projects/own/environments/production/connect'));
    await page.getByText("Endpoint tokens are switched off for this environment's cluster.").waitFor();
  });
});

test('a Kubernetes token of somebody who may make tokens', async () => {
  await visit({ allow: [429] }, async (page) => {
    await signInAt(page, people.kubernetesMaintainer);
    await page.goto(at(site.url, 'ui/projects/shop/environments/production/connect'));
    await byId(page, 'token-description').fill('made with a Kubernetes account');
    await byId(page, 'token-create').click();
    await says(byId(page, 'token-secret'), /^\S{40,}$/);
  });
});

test('a Kubernetes token of somebody who may do nothing', async () => {
  await visit({ allow: [429] }, async (page) => {
    await signInAt(page, people.kubernetesNobody);
    await page.getByText('No projects yet').waitFor();
    await page.getByText('Your Kubernetes account may not query any Prometheus.').waitFor();
  });
});

test('no token at all', async () => {
  await visit({ allow: [401, 429] }, async (page, context) => {
    await page.goto(signin);
    await signIn(page, { token: 'eyJhbGciOiJub25lIn0.e30.' });
    await says(alert(page), 'no cluster accepts this token');
    assert.equal(await whoIs(context, site.url), null);
  });
});

test('a maintainer and a viewer of the users file', async () => {
  await visit({ allow: [429] }, async (page) => {
    await page.goto(explore(site.url, 'shop', 'production', { q: 'up', mode: 'table' }));
    await signIn(page, people.maintainer);
    await byId(page, 'explore-run').waitFor();
    assert.equal(page.url(), explore(site.url, 'shop', 'production', { q: 'up', mode: 'table' }), 'back where she wanted to be');
    await page.goto(at(site.url, 'ui/'));
    await row(page, 'shop', 'production').waitFor();
    assert.equal(await row(page, 'own', 'production').count(), 0, 'another project is not hers');
    await page.goto(at(site.url, 'ui/projects/shop/environments/production/connect'));
    await byId(page, 'token-create').waitFor();
  });
  await visit({ allow: [403, 429] }, async (page) => {
    await signInAt(page, people.viewer);
    await page.goto(at(site.url, 'ui/projects/shop/environments/production/connect'));
    await page.getByText('A maintainer of shop can make a token for you.').waitFor();
    await page.goto(at(site.url, 'ui/projects/shop/tokens'));
    await page.getByText('Tokens of shop are for its maintainers.').waitFor();
    assert.equal(await byId(page, 'token-new').count(), 0);
  });
});

test('out, here', async () => {
  await visit({ allow: [429] }, async (page, context) => {
    await signInAt(page, people.viewer);
    const [before] = (await context.cookies()).filter(({ name }) => name === '__Host-promgate');
    await byId(page, 'user-menu').click();
    await byId(page, 'sign-out').click();
    await page.waitForURL(signin);
    assert.equal(await page.getByText('Your session has ended').count(), 0, 'who signs out knows that');
    assert.equal(await sessionValue(context, site.url), undefined);
    await context.addCookies([before]);
    assert.equal(await whoIs(context, site.url), null, 'the old cookie is good for nothing');
  });
});

test('out, everywhere', async () => {
  await visit({ allow: [401, 429] }, async (other) => {
    await signInAt(other, people.viewer);
    await visit({ allow: [429] }, async (page, context) => {
      await signInAt(page, people.viewer);
      await byId(page, 'user-menu').click();
      await byId(page, 'sign-out-everywhere').click();
      await page.waitForURL(signin);
      assert.equal(await whoIs(context, site.url), null);
    });
    await until(async () => assert.equal(await whoIs(other.context(), site.url), null));
    await other.reload();
    await other.waitForURL(signin);
  });
});
