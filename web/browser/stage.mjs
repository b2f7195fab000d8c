// What the tests in the browser have in common: the stage that cmd/promgate/e2e/browser_test.go has set up, one Chromium
// for each file, and visits that fail at whatever the browser complains about.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { chromium } from 'playwright-core';

export const stage = JSON.parse(readFileSync(process.env.PROMGATE_STAGE, 'utf8'));

const isRoot = process.getuid?.() === 0;
export const browser = await chromium.launch({
  executablePath: stage.chromium,
  chromiumSandbox: !isRoot,
  args: isRoot ? ['--no-sandbox'] : [],
});
after(() => browser.close());

/** How long a test waits for what is about to happen; a machine that builds and tests at once is slow. */
export const patience = 30_000;

export const desktop = { width: 1280, height: 800 };
export const phone = { width: 390, height: 844 };

/** An address below the gateway at base. */
export function at(base, path) {
  return base.replace(/\/$/, '') + '/' + path;
}

/** The Explore screen of an environment, with what its address says. */
export function explore(base, project, environment, state = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) for (const one of [value].flat()) params.append(name, one);
  const query = params.size > 0 ? `?${params}` : '';
  return at(base, `ui/projects/${project}/environments/${environment}/explore${query}`);
}

/** Asks again until check throws no more. */
export async function until(check, limit = patience) {
  const deadline = Date.now() + limit;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((soon) => setTimeout(soon, 50));
    }
  }
}

const statusOfFailure = /^Failed to load resource: the server responded with a status of (\d+)/;

/** Takes down what the browser complains about, of the page and its workers. */
class Complaints {
  constructor(allowed) {
    this.allowed = allowed;
    this.list = [];
  }

  isAllowed(text) {
    const status = Number(statusOfFailure.exec(text)?.[1]);
    return this.allowed.some((one) => (typeof one === 'number' ? one === status : one.test(text)));
  }

  async watch(context) {
    await context.exposeBinding('reportViolation', ({ page }, text) => this.add(page, 'violates its policy', text));
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) =>
        globalThis.reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`),
      );
    });
    context.on('weberror', (error) => this.add(error.page(), 'threw', error.error().stack));
    context.on('console', (message) => {
      if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico')) this.add(message.page(), 'said', `${message.text()} (${message.location().url})`);
    });
  }

  add(page, what, text) {
    if (!this.isAllowed(text)) this.list.push(`${page?.url() ?? 'a page'} ${what}: ${text}`);
  }
}

/**
 * Opens a page, has act do something in it, and fails where the browser had anything to complain about: an uncaught
 * error, a message on the console, a violation of the content security policy. allow names the HTTP statuses, and
 * the patterns of messages, that belong to the test.
 */
export async function visit({ session, allow = [], scheme = 'light', size = desktop, ...options }, act) {
  const context = await browser.newContext({
    storageState: session,
    colorScheme: scheme,
    viewport: size,
    acceptDownloads: true,
    locale: 'en-GB',
    timezoneId: 'UTC',
    ...(size === phone && { hasTouch: true, deviceScaleFactor: 2 }),
    ...options,
  });
  context.setDefaultTimeout(patience);
  const complaints = new Complaints(allow);
  await complaints.watch(context);
  try {
    const page = await context.newPage();
    const result = await act(page, context);
    assert.deepEqual(complaints.list, [], 'the browser complains');
    return result;
  } catch (error) {
    const open = context.pages().map((page) => page.url()).join(' ');
    throw new Error(`${error.message}\nThe browser was at ${open}. ${complaints.list.join('\n')}`, { cause: error });
  } finally {
    await context.close();
  }
}

/** The element that a test of the page is to find. */
export function byId(page, id) {
  return page.locator(`[data-testid="${id}"]`);
}

/** Waits until the element says what it should. */
export async function says(locator, expected) {
  await until(async () => {
    const text = await locator.innerText({ timeout: 1_000 });
    if (expected instanceof RegExp) assert.match(text, expected);
    else assert.ok(text.includes(expected), `it says “${text}” and not “${expected}”`);
  });
}

/** A picture of the window; on a phone of all that one can scroll to. */
export async function screenshot(page, name) {
  await settled(page);
  await page.screenshot({ path: join(stage.artefacts, `${name}.png`), fullPage: page.viewportSize().width === phone.width });
}

/** Waits until fonts are there, nothing loads and nothing moves. */
export async function settled(page) {
  await page.waitForFunction(() => document.fonts.status === 'loaded');
  await page.waitForFunction(() => !document.querySelector('[aria-busy="true"], [role="progressbar"]:not([aria-hidden]), .MuiSkeleton-root'));
  await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== 'running'));
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Fails where axe finds a serious or critical obstacle for people who use the page in other ways than most. */
export async function isAccessible(page, what) {
  await settled(page);
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const found = await globalThis.axe.run(document, { preload: false, resultTypes: ['violations'] });
    return found.violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map((node) => node.failureSummary + ' ' + node.html) }));
  });
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(grave, [], `${what} has obstacles`);
}
