// Without a mouse: nothing here points or clicks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, byId, says, stage, visit } from './stage.mjs';
import { people } from './people.mjs';
import { answered, legendNames, queryText } from './explore.mjs';

const { demo } = stage;

/** Presses Tab until the focus is on what is looked for. */
async function tabTo(page, locator, most = 40) {
  for (let count = 0; count < most; count++) {
    await page.keyboard.press('Tab');
    if (await locator.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`Tab does not come to ${locator}`);
}

/** What has the focus shows that it has. */
async function showsFocus(page) {
  const seen = await page.evaluate(() => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
    const frame = getComputedStyle(document.activeElement.closest('.MuiOutlinedInput-root')?.querySelector('fieldset') ?? document.activeElement);
    return (outlineStyle !== 'none' && parseFloat(outlineWidth) > 0) || boxShadow !== 'none' || parseFloat(frame.borderTopWidth) >= 2;
  });
  assert.ok(seen, 'the focus is to be seen');
}

test('from the sign-in to an answer', async () => {
  await visit({ allow: [429] }, async (page) => {
    await page.goto(at(demo.url, 'ui/'));
    const name = byId(page, 'signin-name');
    await name.waitFor();
    assert.ok(await name.evaluate((element) => element === document.activeElement), 'the first field has the focus');
    await page.keyboard.type(people.demo.name);
    await tabTo(page, byId(page, 'signin-password'), 1);
    await showsFocus(page);
    await page.keyboard.type(people.demo.password);
    await page.keyboard.press('Enter');

    const link = page.getByRole('link', { name: 'Explore shop production' });
    await link.waitFor();
    await tabTo(page, link);
    await showsFocus(page);
    await page.keyboard.press('Enter');
    await byId(page, 'explore-run').waitFor();

    const editor = byId(page, 'explore-editor-0').locator('.cm-content');
    await tabTo(page, editor);
    await page.keyboard.type('sum by (handler) (rate(http_requests_total[5m]))');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+Enter');
    await answered(page);
    assert.equal(await queryText(page), 'sum by (handler) (rate(http_requests_total[5m]))');
    assert.equal((await legendNames(page)).length, 6);

    const legend = byId(page, 'explore-legend');
    await tabTo(page, legend);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await legend.locator('[aria-selected="false"]').first().waitFor();
    assert.equal(await legend.locator('[aria-selected="true"]').count(), 1);
    assert.equal(await byId(page, 'explore-legend-item-1').getAttribute('aria-selected'), 'true');
  });
});

test('the skip link and the menu of the account', async () => {
  await visit({ allow: [429] }, async (page) => {
    await page.goto(at(demo.url, 'ui/'));
    await byId(page, 'signin-name').waitFor();
    await page.keyboard.type(people.demo.name);
    await page.keyboard.press('Tab');
    await page.keyboard.type(people.demo.password);
    await page.keyboard.press('Enter');
    await byId(page, 'env-row-shop-production').waitFor();
    await page.goto(at(demo.url, 'ui/projects/shop/tokens'));
    await byId(page, 'token-new').waitFor();
    const skip = page.getByRole('link', { name: 'Skip to the content' });
    await tabTo(page, skip, 1);
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await page.keyboard.press('Shift+Tab');
    await tabTo(page, byId(page, 'token-new'));
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'New token' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.ok(await byId(page, 'token-new').evaluate((element) => element === document.activeElement), 'the focus is back where it was');
    const menu = byId(page, 'user-menu');
    await menu.focus();
    await page.keyboard.press('Enter');
    await byId(page, 'sign-out').waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL('**/ui/signin');
    await says(page.getByRole('heading', { level: 1 }), 'Sign in to promgate');
  });
});
