// Playground and race.

import assert from 'node:assert/strict';
import test from 'node:test';

import {answerOver, eventually} from '../browser.mjs';
import {at} from './setting.mjs';

test('the playground goes on with a text as it stands', at(
    'playground', async (page, gateway) => {
      await page.locator('#playground-prompt').fill('Once upon a time');
      await page.getByRole('button', {name: 'Continue the text'}).click();
      await answerOver(page, '#playground');
      assert.equal(await page.locator('#playground .token').count(), 200);
      const {body} = gateway.asked('/v1/completions')[0];
      assert.equal(body.prompt, 'Once upon a time');
      assert.equal(body.logprobs, 5);
      await page.locator('#playground .token.own').first().hover();
      assert.match(await page.locator('#token-card').innerText(),
                   /the target\u2019s own/);
      await page.getByRole('button', {name: 'Replay with the same seed'})
          .click();
      await eventually(async () => assert.equal(
          await page.locator('.replay .verdict').textContent(),
          'Same seed, same text: all 200 tokens are equal.'));
    }));

for (const order of ['one after the other', 'at the same time']) {
  test(`a race, ${order}`, at('race', async (page, gateway) => {
    await page.getByLabel('Max tokens', {exact: true}).fill('60');
    await page.getByLabel(order).check();
    await page.getByRole('button', {name: 'Start the race'}).click();
    await page.locator('#race-verdict').waitFor();
    const [without, drafts] = gateway.asked('/v1/completions')
        .map(({body}) => body);
    assert.equal(without.tandem.draft_length, 0);
    assert.equal(drafts.tandem.draft_length, null);
    assert.equal(without.seed, drafts.seed);
    assert.equal(without.prompt, drafts.prompt);
    assert.equal('logprobs' in without, false);
    assert.equal(await page.locator('#race-equality').textContent(),
                 'Same seed, same text: all 60 tokens are equal.');
    // A round takes the fake gateway 5 ms, whatever it drafts.
    assert.match(
        await page.locator('#race-speed').textContent(),
        /^With drafts: [1-9]\.\d\d times as many tokens per second\.$/);
    const rates = await page.locator('#race .rate').allTextContents();
    assert.ok(Number(rates[1]) > Number(rates[0]), rates.join(' '));
    const [short, long] = await page.locator('#race .speed + .track .bar')
        .evaluateAll((bars) => bars.map((bar) => bar.offsetWidth));
    assert.ok(short < long);
    // The texts come again, and stay.
    await page.getByRole('button', {name: 'Watch both again'}).click();
    await eventually(async () => assert.ok(
        await page.locator('#race .veiled').count() > 0));
    await eventually(async () => assert.equal(
        await page.locator('#race .veiled').count(), 0));
    assert.equal(await page.locator('#race .token').count(), 120);
  }, {behaviour: {delayMs: 5}}));
}

test('a race that is stopped or fails has no verdict', at(
    'race', async (page, gateway) => {
      await page.getByRole('button', {name: 'Start the race'}).click();
      await page.locator('#race .token').first().waitFor();
      await page.keyboard.press('Escape');
      await answerOver(page, '#race');
      await eventually(async () => assert.equal(
          await page.locator('#race-stop').isVisible(), false));
      assert.equal(gateway.asked('/v1/completions').length, 1);
      assert.equal(await page.locator('#race-verdict').isVisible(), false);
    }, {behaviour: {delayMs: 20}}));

test('with draft length 0 a race still compares with drafts', at(
    'race', async (page, gateway) => {
      await page.getByLabel('Max tokens', {exact: true}).fill('5');
      await page.getByLabel('Automatic length').uncheck();
      await page.getByLabel('Draft length').fill('0');
      await page.getByLabel('Seed', {exact: true}).fill('9');
      await page.getByRole('button', {name: 'Start the race'}).click();
      await eventually(async () => assert.deepEqual(
          gateway.asked('/v1/completions').map(
              ({body}) => [body.tandem.draft_length, body.seed]),
          [[0, 9], [null, 9]]));
      await page.locator('#race-verdict').waitFor();
    }));
