// What goes wrong is said in a sentence, with what helps; a lost connection is
// gone on with.

import assert from 'node:assert/strict';
import test from 'node:test';

import {answerOver, eventually} from '../browser.mjs';
import {at} from './setting.mjs';

const KEY = 'sk-test-0123456789';

async function go(page) {
  await page.getByRole('button', {name: 'Continue the text'}).click();
}

function failing(status, error, headers = {}) {
  return {behaviour: {error: {status, error, headers}}};
}

async function problem(page) {
  const alert = page.locator('#playground [role=alert]');
  await alert.waitFor();
  return (await alert.innerText()).replace(/\s+/g, ' ');
}

test('a field that is out of range', at('playground', async (page) => {
  await go(page);
  assert.equal(await problem(page),
               'top_k must be 0 to 2147483647. Set the option that the ' +
               'message names within its range.');
}, failing(400, {message: 'top_k must be 0 to 2147483647',
                 code: 'invalid_options'})));

test('a quota, and another try', at('playground', async (page, gateway) => {
  await go(page);
  assert.equal(await problem(page), 'Too many turns. Try again in 7 seconds.');
  gateway.behaviour = {};
  await page.getByRole('button', {name: 'Try again'}).click();
  await answerOver(page, '#playground');
  assert.equal(await page.locator('#playground .token').count(), 200);
}, failing(429, {message: 'too many turns', code: 'exhausted'},
           {'Retry-After': '7'})));

test('a chat with a model that has no template, and another try', at(
    'chat', async (page, gateway) => {
      await page.getByLabel('Message', {exact: true}).fill('hello');
      await page.getByLabel('Message', {exact: true}).press('Enter');
      const alert = page.locator('#chat [role=alert]');
      await alert.waitFor();
      assert.match(await alert.innerText(), /use the playground/);
      gateway.behaviour = {};
      await page.getByRole('button', {name: 'Try again'}).click();
      await answerOver(page, '#chat');
      assert.equal(await page.locator('#chat .turn').count(), 1);
      assert.deepEqual(gateway.asked('/v1/chat/completions')[1].body.messages,
                       [{role: 'user', content: 'hello'}]);
    }, failing(400, {message: 'the file has no chat template',
                     code: 'unsupported_chat_template'})));

test('an error in the midst of a text keeps the text', at(
    'playground', async (page) => {
      await go(page);
      assert.match(await problem(page), /^Logits held NaN\./);
      assert.ok(await page.locator('#playground .token').count() >= 20);
    }, {behaviour: {errorAfter: {
      tokens: 20,
      error: {message: 'logits held NaN', code: 'numeric_corruption'},
    }}}));

test('a gateway that is not there, and comes back', at(
    'playground', async (page, gateway) => {
      await page.locator('#models', {hasText: '1 model'}).waitFor();
      const {port} = gateway;
      await gateway.close();
      await go(page);
      assert.match(await problem(page),
                   /^The gateway can not be reached\. See that tandem-gateway/);
      await gateway.open(port);
      await page.getByRole('button', {name: 'Try again'}).click();
      await answerOver(page, '#playground');
      assert.equal(await page.locator('#playground .token').count(), 200);
    }));

test('a key is asked for, and kept only where that is wanted', at(
    'playground', async (page, gateway) => {
      const alert = page.locator('#connection [role=alert]');
      assert.match(await alert.innerText(), /needs an API key/);
      await page.getByRole('button', {name: 'Enter a key'}).click();
      assert.equal(await page.evaluate(() => document.activeElement.id),
                   'option-key');
      await page.keyboard.type(KEY);
      await page.keyboard.press('Enter');
      await alert.waitFor({state: 'detached'});
      assert.equal(gateway.requests.at(-1).headers.authorization,
                   `Bearer ${KEY}`);
      await go(page);
      await answerOver(page, '#playground');
      const kept = () => page.evaluate(
          () => JSON.stringify([{...sessionStorage}, {...localStorage}]));
      assert.equal(await kept(), '[{},{}]');
      await page.getByLabel('Keep it until').check();
      assert.match(await kept(), new RegExp(KEY));
      await page.reload();
      await page.locator('#models', {hasText: '1 model'}).waitFor();
      await page.getByLabel('Keep it until').uncheck();
      assert.equal(await kept(), '[{},{}]');
      await page.reload();
      await alert.waitFor();
    }, {behaviour: {key: KEY}}));

test('a server without models, until it has one', at('chat', async (
    page, gateway) => {
  const alert = page.locator('#connection [role=alert]');
  await alert.waitFor();
  assert.match(await alert.innerText(), /has no model now/);
  gateway.behaviour = {};
  await page.locator('#models', {hasText: '1 model'}).waitFor();
  assert.equal(await alert.count(), 0);
}, {behaviour: {models: []}}));

test('a lost connection is gone on with, and shown', at(
    'playground', async (page, gateway) => {
      await go(page);
      await page.locator('.state.lost').waitFor();
      assert.match(await page.locator('.state.lost').textContent(),
                   /The connection was lost\. Trying to go on .* seconds left/);
      await answerOver(page, '#playground');
      assert.match(await page.locator('.state.resumed').textContent(),
                   /lost once; the answer went on/);
      assert.equal(await page.locator('#playground .token').count(), 200);
      const resumes = gateway.requests.filter(
          ({path}) => path.startsWith('/v1/streams/'));
      assert.ok(resumes.length >= 2);
      assert.match(resumes[0].headers['last-event-id'], /^0*1-1-(\d+)-\1$/);
      // It is the text that a second run with the same seed has.
      await page.getByRole('button', {name: 'Replay with the same seed'})
          .click();
      await eventually(async () => assert.equal(
          await page.locator('.replay .verdict').textContent(),
          'Same seed, same text: all 200 tokens are equal.'));
    }, {behaviour: {delayMs: 5, loseAfter: 50, refuseResumes: 1}}));

test('a connection that was lost for too long', at(
    'playground', async (page) => {
      await go(page);
      assert.match(await problem(page),
                   /^The connection was lost for too long\. .*30 seconds/);
      // A browser drops what it had received and the page had not yet read.
      assert.ok(await page.locator('#playground .token').count() > 0);
      await page.getByRole('button', {name: 'Try again'}).waitFor();
    }, {behaviour: {delayMs: 20, loseAfter: 50, forget: true}}));
