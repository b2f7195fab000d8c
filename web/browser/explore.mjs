// What a person does on the Explore screen, and sees there.
import assert from 'node:assert/strict';
import { byId, until } from './stage.mjs';

/** The editor's text area. */
export function editor(page, index = 0) {
  return byId(page, `explore-editor-${index}`).locator('.cm-content');
}

/** The query that stands in the editor. */
export function queryText(page, index = 0) {
  return editor(page, index).evaluate((element) => [...element.querySelectorAll('.cm-line')].map((line) => line.textContent).join('\n'));
}

/** Writes a query in the place of the one that is there. Brackets close themselves, which typing goes along with. */
export async function write(page, query, index = 0) {
  await editor(page, index).click();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await page.keyboard.type(query);
  await until(async () => assert.equal(await queryText(page, index), query), 2_000);
}

/** Runs what is in the editors, and waits for the answers. */
export async function run(page) {
  await byId(page, 'explore-run').click();
  await answered(page);
}

export async function answered(page) {
  await page.locator('[aria-busy="false"] [role="status"]').filter({ hasText: /series/ }).waitFor();
}

export function legendItem(page, index) {
  return byId(page, `explore-legend-item-${index}`);
}

/** The names in the legend, as they are shown. */
export async function legendNames(page) {
  const names = await byId(page, 'explore-legend').getByRole('option').evaluateAll((options) => options.map((option) => option.firstElementChild.textContent));
  return names.map((name) => name.trim());
}

/** The colours of a legend's swatches, as [red, green, blue]. */
export function legendColours(page) {
  return byId(page, 'explore-legend')
    .getByRole('option')
    .evaluateAll((options) =>
      options.map((option) => {
        const { backgroundColor, boxShadow } = getComputedStyle(option.querySelector('[aria-hidden]'));
        const colour = boxShadow === 'none' ? backgroundColor : boxShadow;
        return colour.match(/\d+/g).slice(0, 3).map(Number);
      }),
    );
}

/** How many pixels of the chart have each of the colours, about. */
export function ink(page, colours) {
  return byId(page, 'explore-chart')
    .locator('canvas')
    .first()
    .evaluate((canvas, wanted) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const near = (at, colour) => data[at + 3] > 200 && colour.every((channel, of) => Math.abs(data[at + of] - channel) < 12);
      const counts = wanted.map(() => 0);
      for (let at = 0; at < data.length; at += 4) wanted.forEach((colour, index) => (counts[index] += near(at, colour) ? 1 : 0));
      return counts;
    }, colours);
}

/** Where lines are drawn: the part of the chart inside its axes. */
export function plotBox(page) {
  return byId(page, 'explore-chart').locator('.u-over').boundingBox();
}

/** Drags over a part of the chart, from one share of its width to another. */
export async function drag(page, from, to) {
  const { x, y, width, height } = await plotBox(page);
  await page.mouse.move(x + from * width, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + to * width, y + height / 2, { steps: 8 });
  await page.mouse.up();
}

/** The range that the address says, in seconds; undefined where it is none of two times. */
export function addressedSpan(page) {
  const params = new URL(page.url()).searchParams;
  const [from, to] = ['from', 'to'].map((name) => Date.parse(params.get(name)) / 1000);
  return Number.isNaN(from) ? undefined : { from, to };
}

/** Asks the environment's API, as the page does. */
export async function ask(page, project, environment, endpoint, params) {
  const answer = await page.evaluate(
    async ([path, form]) => {
      const response = await fetch(new URL(`../${path}`, document.baseURI), {
        method: 'POST',
        headers: { 'X-Promgate-Page': '1' },
        body: new URLSearchParams(form),
      });
      return response.json();
    },
    [`projects/${project}/environments/${environment}/api/v1/${endpoint}`, params],
  );
  assert.equal(answer.status, 'success');
  return answer.data.result;
}
