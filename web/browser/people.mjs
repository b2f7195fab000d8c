// The people of the stage, and how they sign in.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { at, byId, patience, stage, until, visit } from './stage.mjs';

const { demo, site } = stage;

/** Whoever is local has a password; the others of Kubernetes have a token. */
export const people = {
  demo: { base: demo.url, name: demo.user, password: demo.password },
  maintainer: { base: site.url, ...site.maintainer },
  viewer: { base: site.url, ...site.viewer },
  kubernetesMaintainer: { base: site.url, token: site.kubernetesMaintainer },
  kubernetesViewer: { base: site.url, token: site.kubernetesViewer },
  kubernetesNobody: { base: site.url, token: site.kubernetesNobody },
};

export const sessionCookie = '__Host-promgate';

/** Fills in the form of somebody's way to sign in, and sends it. */
export async function signIn(page, { name, password, token }) {
  if (token !== undefined) {
    await byId(page, 'signin-token').fill(token);
    return submit(page, 'signin-token-submit');
  }
  await byId(page, 'signin-name').fill(name);
  await byId(page, 'signin-password').fill(password);
  return submit(page, 'signin-submit');
}

/** Sends the form; where there were too many tries it waits, as the button says, and sends it again. */
async function submit(page, id) {
  const button = byId(page, id);
  await until(async () => {
    const answer = page.waitForResponse((response) => response.request().method() === 'POST' && response.url().includes('/api/v1/session'));
    await button.click();
    assert.notEqual((await answer).status(), 429, 'too many tries');
  }, 3 * patience);
}

/** Signs in at the sign-in screen, and waits until the page knows the person. */
export async function signInAt(page, person) {
  await page.goto(at(person.base, 'ui/signin'));
  await signIn(page, person);
  await byId(page, 'user-menu').waitFor();
}

/**
 * A session of somebody, for visits that are about something else. The gateway lets nobody try too often, so the
 * files of tests hand it on to each other.
 */
export async function sessionOf(key) {
  const person = people[key];
  const file = join(dirname(process.env.PROMGATE_STAGE), `session-${key}.json`);
  if (existsSync(file)) {
    const session = JSON.parse(readFileSync(file, 'utf8'));
    if (await isSignedIn(person.base, session)) return session;
  }
  const session = await visit({ allow: [429] }, async (page, context) => {
    await signInAt(page, person);
    return context.storageState();
  });
  writeFileSync(file, JSON.stringify(session), { mode: 0o600 });
  return session;
}

async function isSignedIn(base, { cookies }) {
  return (await userOf(base, cookies)) !== null;
}

/** Whom the gateway takes the browser for: a name, or null. */
export async function whoIs(context, base) {
  return userOf(base, await context.cookies());
}

async function userOf(base, cookies) {
  const host = new URL(base).hostname;
  const cookie = cookies.flatMap(({ name, value, domain }) => (domain === host ? [`${name}=${value}`] : [])).join('; ');
  // A session counts for requests of the page alone, so these are the headers of one.
  const headers = { cookie, 'x-promgate-page': '1', 'sec-fetch-site': 'same-origin' };
  const response = await fetch(at(base, 'api/v1/session'), { headers });
  assert.equal(response.status, 200);
  return (await response.json()).user?.name ?? null;
}

/** The value of the session's cookie. */
export async function sessionValue(context, base) {
  const cookies = await context.cookies();
  return cookies.find(({ name, domain }) => name === sessionCookie && domain === new URL(base).hostname)?.value;
}

/** Goes from the sign-in screen to the provider's form. */
export async function toProvider(page) {
  await until(async () => {
    const answer = page.waitForResponse((response) => response.url().endsWith('/api/v1/session/oidc'));
    await byId(page, 'signin-oidc').click();
    assert.notEqual((await answer).status(), 429, 'too many tries');
  }, 3 * patience);
  await page.waitForURL((url) => url.origin === site.issuer);
}

/** Fills in the provider's form. */
export async function atProvider(page, name) {
  await page.locator('input[name="login"]').fill(name);
  await page.locator('input[name="password"]').fill(`${name}-password`);
  await page.locator('button[type="submit"]').click();
}

/** Changes an account at the provider, or makes it. */
export async function changeAccount(name, change) {
  const response = await fetch(`${site.control}/accounts/${name}`, { method: 'PUT', body: JSON.stringify(change) });
  assert.equal(response.status, 200);
}
