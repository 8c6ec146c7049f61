// The page before tandem-gateway and the demo pair.

import assert from 'node:assert/strict';
import test, {after, before} from 'node:test';

import {
  answerOver, closePage, eventually, openBrowser, openPage,
} from '../browser.mjs';
import {INFO, STATUS} from '../fake_gateway.mjs';
import {RealGateway, isBuilt} from '../real_gateway.mjs';

const skip = isBuilt() ? false : 'tandem-gateway and its servers are not built';
let browser;
let gateway;

before(async () => {
  if (skip) return;
  browser = await openBrowser();
  gateway = await new RealGateway().open();
});
after(async () => {
  await browser?.close();
  await gateway?.close();
});

function at(view, work) {
  return async () => {
    const page = await openPage(browser, `${gateway.url}#/${view}`);
    await page.locator('#models', {hasText: '1 model'}).waitFor();
    await work(page);
    await closePage(page);
  };
}

async function setDraftLength(page, length) {
  await page.getByLabel('Automatic length').uncheck();
  await page.getByLabel('Draft length').fill(String(length));
}

test('a text with marks, and the same without drafts', {skip}, at(
    'playground', async (page) => {
      await setDraftLength(page, 4);
      await page.getByRole('button', {name: 'Continue the text'}).click();
      await answerOver(page, '#playground');
      const token = page.locator('#playground .token');
      assert.equal(await token.count(), 200);
      for (const mark of ['draft', 'own']) {
        assert.ok(await page.locator(`#playground .token.${mark}`).count() > 10,
                  mark);
      }
      const caption = await page.locator('.rounds .note').textContent();
      const [, rounds, , accepted] = caption.match(
          /^(\d+) rounds: (\d+) proposed, (\d+) accepted/).map(Number);
      // Each round adds what was accepted and one of the target's own; the last
      // one may end in between.
      assert.ok(Math.abs(rounds + accepted - 200) <= 5, caption);
      await page.locator('#playground .token.own').nth(5).hover();
      assert.ok(await page.locator('#token-card li').count() >= 5);
      await setDraftLength(page, 0);
      await page.getByRole('button', {name: 'Replay with the same seed'})
          .click();
      await eventually(async () => assert.equal(
          await page.locator('.replay .verdict').textContent(),
          'Same seed, same text: all 200 tokens are equal.'));
      assert.equal(await page.locator('.replay .token.draft').count(), 0);
    }));

test('a lost connection does not change the text', {skip}, at(
    'playground', async (page) => {
      await page.getByLabel('Max tokens', {exact: true}).fill('700');
      await setDraftLength(page, 0);
      gateway.cutAfter(50_000);  // of some 500,000 bytes
      await page.getByRole('button', {name: 'Continue the text'}).click();
      await answerOver(page, '#playground');
      assert.match(await page.locator('.state.resumed').textContent(),
                   /went on where it stopped/);
      await page.getByRole('button', {name: 'Replay with the same seed'})
          .click();
      await eventually(async () => assert.match(
          await page.locator('.replay .verdict').textContent(),
          /^Same seed, same text: all 700 tokens are equal/));
    }));

test('Stop', {skip}, at('playground', async (page) => {
  await setDraftLength(page, 0);
  await page.getByLabel('Max tokens', {exact: true}).fill('900');
  await page.getByRole('button', {name: 'Continue the text'}).click();
  await page.locator('#playground .token').first().waitFor();
  await page.keyboard.press('Escape');
  await answerOver(page, '#playground');
  assert.ok(await page.locator('#playground .token').count() < 900);
}));

test('a tab that is closed gives the KV of its turn back', {skip}, at(
    'playground', async (page) => {
      const workers = async () => {
        const response = await fetch(`${gateway.url}tandem/v1/status`);
        return (await response.json()).workers;
      };
      await page.getByLabel('Max tokens', {exact: true}).fill('900');
      await setDraftLength(page, 0);
      await page.getByRole('button', {name: 'Continue the text'}).click();
      await eventually(async () => assert.ok((await workers()).some(
          ({streams_open: streams}) => streams > 0)));
      const start = performance.now();
      await page.close();
      await eventually(async () => assert.ok((await workers()).every(
          ({streams_open: streams, kv_tokens: all, kv_tokens_free: free}) =>
            streams === 0 && free === all)));
      assert.ok(performance.now() - start < 1000);
    }));

test('a chat, where the model has a format for it', {skip}, at(
    'chat', async (page) => {
      await page.getByLabel('Message', {exact: true}).fill('Who was the king?');
      await page.getByLabel('Message', {exact: true}).press('Enter');
      await answerOver(page);
      if (gateway.model.tandem.chat_template) {
        assert.ok(await page.locator('#chat .token').count() > 10);
      } else {
        assert.match(await page.locator('#chat [role=alert]').innerText(),
                     /use the playground/);
      }
    }));

test('a race', {skip}, at('race', async (page) => {
  await page.getByRole('button', {name: 'Start the race'}).click();
  await page.locator('#race-verdict').waitFor();
  assert.equal(await page.locator('#race-equality').textContent(),
               'Same seed, same text: all 200 tokens are equal.');
  assert.match(await page.locator('#race-speed').textContent(), /drafts/i);
}));

// Names of fields; of objects in it, theirs too.
function shape(value) {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object') return typeof value;
  return Object.fromEntries(Object.entries(value).sort().map(
      ([name, inner]) => [name, shape(inner)]));
}

test('the other tests\' gateway answers as this one does', {skip}, async () => {
  const real = async (path) => (await fetch(gateway.url + path)).json();
  assert.deepEqual(shape(await real('tandem/v1/status')), shape(STATUS));
  const {version, keys, default_options: {tandem}} =
      await real('tandem/v1/info');
  for (const [name, value] of Object.entries(INFO.default_options.tandem)) {
    assert.equal(tandem[name], value, name);
  }
  assert.deepEqual(shape({version, keys}),
                   shape({version: INFO.version, keys: INFO.keys}));
});

test('the pools', {skip}, at('server', async (page) => {
  await eventually(async () => assert.equal(
      await page.locator('#server-workers .serving').count(), 2));
}));

test('an option out of range is said in its own words', {skip}, at(
    'playground', async (page) => {
      await page.locator('#playground-prompt').fill('a '.repeat(3000));
      await page.getByRole('button', {name: 'Continue the text'}).click();
      const alert = page.locator('#playground [role=alert]');
      await alert.waitFor();
      assert.match(await alert.innerText(), /Shorten the prompt/);
    }));
