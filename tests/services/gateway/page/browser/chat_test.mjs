// The chat: streaming, marks, rounds, figures, history, Stop, alternatives.

import assert from 'node:assert/strict';
import test from 'node:test';

import {answerOver, eventually} from '../browser.mjs';
import {at} from './setting.mjs';

async function say(page, text) {
  await page.getByLabel('Message', {exact: true}).fill(text);
  await page.getByLabel('Message', {exact: true}).press('Enter');
}

const tokens = (page, kind = '') => page.locator(`#chat .token${kind}`);

test('an answer streams with marks, rounds and figures', at(
    'chat', async (page) => {
      await say(page, 'Who is there?');
      await answerOver(page);
      assert.equal(await page.locator('.message p').textContent(),
                   'Who is there?');
      assert.equal(await tokens(page).count(), 200);
      for (const kind of ['.draft', '.lookup', '.own']) {
        assert.ok(await tokens(page, kind).count() > 5, kind);
      }
      // The mark is a line too, not only a colour.
      const line = (kind) => tokens(page, kind).first().evaluate((token) => {
        const {textDecorationLine, textDecorationStyle} =
            getComputedStyle(token);
        return `${textDecorationLine} ${textDecorationStyle}`;
      });
      assert.equal(await line('.draft'), 'underline solid');
      assert.equal(await line('.lookup'), 'underline dashed');
      assert.equal(await line('.own'), 'none solid');
      // As many columns and cells as the caption says.
      const caption = await page.locator('.rounds .note').textContent();
      const [, rounds, proposed, accepted] = caption.match(
          /^(\d+) rounds: (\d+) proposed, (\d+) accepted/);
      const cells = (kind) => page.locator(`.strip .${kind}`).count();
      assert.equal(await cells('round'), Number(rounds));
      assert.equal(await cells('draft') + await cells('lookup'),
                   Number(accepted));
      assert.equal(await cells('rejected'), proposed - accepted);
      assert.equal(await cells('own'), 200 - accepted);
      const figures = await page.locator('#chat .figures').innerText();
      assert.match(figures, /tokens\/s/);
      assert.match(figures, /seed\s*4711/);
      assert.match(figures, /ended by\s*max tokens/);
    }));

test('what a model says is text, never HTML', at(
    'chat', async (page) => {
      await say(page, '<b>bold</b>');
      await answerOver(page);
      assert.equal(await page.locator('.tokens').textContent(),
                   '<img src=x onerror="document.title=1"><script>\n');
      assert.equal(await page.locator('#chat-log img, #chat-log script, ' +
                                      '#chat-log b').count(), 0);
      assert.equal(await page.title(), 'Chat \u2013 tandem');
    }, {behaviour: {
      texts: ['<img src=x ', 'onerror="document.title=1">', '<script>', '\n'],
    }}));

test('the next request has the conversation and the options', at(
    'chat', async (page, gateway) => {
      await page.getByLabel('Max tokens', {exact: true}).fill('12');
      await page.getByLabel('Temperature, as a number').fill('1.25');
      await page.getByLabel('Temperature, as a number').press('Tab');
      await page.getByLabel('Seed', {exact: true}).fill('77');
      await page.getByLabel('Automatic length').uncheck();
      await page.getByLabel('Draft length').fill('2');
      await page.getByLabel('System message of chats').fill('Be brief.');
      await say(page, 'one');
      await answerOver(page);
      const answer = await page.locator('.tokens').textContent();
      await page.getByLabel('Message', {exact: true}).focus();
      await page.keyboard.type('two');
      await page.keyboard.press('Shift+Enter');
      await page.keyboard.type('lines');
      await page.getByRole('button', {name: 'Send'}).click();
      await answerOver(page);
      const {body} = gateway.asked('/v1/chat/completions')[1];
      assert.deepEqual(body.messages, [
        {role: 'system', content: 'Be brief.'}, {role: 'user', content: 'one'},
        {role: 'assistant', content: answer},
        {role: 'user', content: 'two\nlines'},
      ]);
      assert.equal(body.model, 'tales-target');
      assert.equal(body.max_tokens, 12);
      assert.equal(body.temperature, 1.25);
      assert.equal(body.seed, 77);
      assert.deepEqual(body.tandem, {draft_length: 2, resumable: true});
      await page.getByRole('button', {name: 'New chat'}).click();
      assert.equal(await page.locator('.turn').count(), 0);
    }));

test('a seed that is none is refused where it stands', at(
    'chat', async (page, gateway) => {
      await page.getByLabel('Seed', {exact: true}).fill('1.5');
      await say(page, 'one');
      assert.match(await page.locator('#option-seed-problem').textContent(),
                   /whole number/);
      assert.equal(await page.evaluate(() => document.activeElement.id),
                   'option-seed');
      assert.equal(gateway.asked('/v1/chat/completions').length, 0);
    }));

for (const how of ['Esc', 'button']) {
  test(`Stop ends an answer at the server (${how})`, at(
      'chat', async (page, gateway) => {
        await say(page, 'go on for ever');
        await eventually(async () => assert.ok(await tokens(page).count() > 3));
        if (how === 'Esc') {
          await page.keyboard.press('Escape');
        } else {
          await page.getByRole('button', {name: 'Stop'}).click();
        }
        await answerOver(page);
        assert.ok(await tokens(page).count() < 200);
        assert.match(await page.locator('#chat .figures').innerText(),
                     /ended by\s*Stop/);
        assert.ok(gateway.requests.some(
            ({path}) => path.endsWith('/cancel')));
        assert.equal(await page.getByRole('button', {name: 'Stop'})
            .isVisible(), false);
      }, {behaviour: {delayMs: 40}}));
}

test('a replay with the same seed has the same text, whatever the drafts', at(
    'chat', async (page, gateway) => {
      await say(page, 'again');
      await answerOver(page);
      await page.getByLabel('Automatic length').uncheck();
      await page.getByLabel('Draft length').fill('0');
      const replay = page.getByRole(
          'button', {name: 'Replay with the same seed'});
      await replay.click();
      await page.locator('.verdict:visible').waitFor();
      assert.equal(await page.locator('.replay .verdict').textContent(),
                   'Same seed, same text: all 200 tokens are equal.');
      const [first, second] = gateway.asked('/v1/chat/completions');
      assert.equal(second.body.seed, 4711);
      assert.equal(second.body.tandem.draft_length, 0);
      assert.deepEqual(second.body.messages, first.body.messages);
      // It can fail.
      gateway.behaviour = {drift: true};
      await replay.click();
      await eventually(async () => assert.match(
          await page.locator('.replay .verdict').textContent(),
          /^The texts differ from their first token on/));
    }));

test('alternatives of a token on hover', at('chat', async (page) => {
  await say(page, 'hover');
  await answerOver(page);
  await tokens(page, '.draft').first().hover();
  const card = page.locator('#token-card');
  await card.waitFor();
  const text = await card.innerText();
  assert.match(text, /proposed by the draft model, accepted/);
  assert.match(text, /taken\s*67%/);
  assert.ok(await card.locator('li').count() >= 5);
  await page.locator('#chat-title').hover();
  await card.waitFor({state: 'hidden'});
}));

test('alternatives by keys, and by buttons', at('chat', async (page) => {
  await say(page, 'keys');
  await answerOver(page);
  const card = page.locator('#token-card');
  await page.getByRole('button', {name: 'Inspect tokens'}).click();
  await card.waitFor();
  const said = () => page.locator('#announcer').textContent();
  const first = await said();
  assert.match(first, /; probability 67%; instead of /);
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await said(), first);
  await page.keyboard.press('Home');
  assert.equal(await said(), first);
  await card.getByRole('button', {name: 'Next'}).click();
  await card.getByRole('button', {name: 'Next'}).press('Enter');
  assert.equal(await page.locator('.token.current').getAttribute('data-index'),
               '2');
  await card.getByRole('button', {name: 'Close'}).click();
  await card.waitFor({state: 'hidden'});
  await page.keyboard.press('ArrowRight');
  await card.waitFor();
  await page.keyboard.press('Escape');
  await card.waitFor({state: 'hidden'});
}));

test('without alternatives none are asked for', at(
    'chat', async (page, gateway) => {
      await page.getByLabel('Alternatives shown').fill('0');
      await say(page, 'none');
      await answerOver(page);
      const {body} = gateway.asked('/v1/chat/completions')[0];
      assert.equal('logprobs' in body, false);
      await tokens(page).first().hover();
      assert.match(await page.locator('#token-card').innerText(),
                   /No alternatives were asked for/);
    }));

test('screen readers are told the end of an answer, not its tokens', at(
    'chat', async (page) => {
      await page.evaluate(() => {
        window.said = [];
        new MutationObserver(() => window.said.push(
            document.getElementById('announcer').textContent))
            .observe(document.getElementById('announcer'),
                     {childList: true, characterData: true, subtree: true});
      });
      await say(page, 'quietly');
      await answerOver(page);
      assert.deepEqual(await page.evaluate(() => window.said),
                       ['Answer complete: 200 tokens.']);
      assert.equal(await page.locator('#chat-log').evaluate(
          (log) => log.closest('[aria-live], [role=log], [role=status]')),
                   null);
    }));
