// The view of the server's pools.

import assert from 'node:assert/strict';
import test from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';

import {eventually} from '../browser.mjs';
import {at} from './setting.mjs';

const asked = (gateway) => gateway.asked('/tandem/v1/status').length;

test('workers, their states and the sums', at('server', async (page) => {
  await page.locator('#server-workers tr').first().waitFor();
  const rows = await page.locator('#server-workers tr').allInnerTexts();
  assert.equal(rows.length, 4);
  assert.match(rows[0], /127\.0\.0\.1:7201.*target.*serving.*25% of 8,192/s);
  assert.match(rows[1], /draining.*2 waiting/s);
  assert.match(rows[3], /connecting.*connection refused/s);
  const figures = await page.locator('#server-figures').innerText();
  assert.match(figures, /2 h 3 min/);
  assert.match(figures, /of drafts accepted\s*72%/);
}));

test('it is asked only while it is shown', at(
    'server', async (page, gateway) => {
      await eventually(async () => assert.ok(asked(gateway) >= 2));
      await page.getByRole('link', {name: 'Race'}).click();
      await page.locator('#race').waitFor();
      const before = asked(gateway);
      await sleep(2500);
      assert.ok(asked(gateway) <= before + 1);
      await page.getByRole('link', {name: 'Server'}).click();
      await eventually(async () => assert.ok(asked(gateway) > before + 1));
    }));

test('tokens per second are the difference of two answers', at(
    'server', async (page, gateway) => {
      await page.locator('#server-workers tr').first().waitFor();
      gateway.behaviour.status = {generated_tokens: 120034 + 500};
      await eventually(async () => {
        const text = await page.locator('#server-figures').innerText();
        const rate = Number(text.match(/tokens\/s now\s*([\d.]+)/)[1]);
        assert.ok(rate > 100 && rate <= 250, text);
      });
    }));

test('a caller who may not see it', at('server', async (page, gateway) => {
  const alert = page.locator('#server-problem [role=alert]');
  await alert.waitFor();
  assert.match(await alert.innerText(),
               /lacks the scope admin.*Use an API key/s);
  assert.equal(await page.locator('#server-status').isVisible(), false);
  gateway.behaviour.status = {};
  await page.locator('#server-workers tr').first().waitFor();
  assert.equal(await alert.count(), 0);
}, {behaviour: {status: {http: 403}}}));

test('no workers', at('server', async (page) => {
  await page.locator('#server-none').waitFor();
}, {behaviour: {status: {workers: []}}}));
