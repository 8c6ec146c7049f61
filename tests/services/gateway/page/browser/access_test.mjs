// The page for everybody: roles and names, the keyboard, themes, narrow
// windows, reduced motion; and what the page may load.

import assert from 'node:assert/strict';
import test from 'node:test';

import {answerOver} from '../browser.mjs';
import {at} from './setting.mjs';

const VIEWS = ['chat', 'playground', 'race', 'server'];

async function includes(page, ...lines) {
  const snapshot = await page.locator('body').ariaSnapshot();
  for (const line of lines) {
    assert.ok(snapshot.includes(line), `no ${line} in\n${snapshot}`);
  }
}

test('roles and names', at('chat', async (page) => {
  await includes(
      page, '- link "Skip to the content"', '- banner', '- navigation "Views"',
      '- main', '- region "Legend"', '- heading "Chat" [level=1]',
      '- textbox "Message"', '- button "Send"', '- complementary "Options"',
      '- combobox "Model"', '- slider "Temperature"',
      '- spinbutton "Temperature, as a number"', '- slider "Top p"',
      '- slider "Top k"', '- slider "Max tokens"', '- group "Drafts"',
      '- checkbox "Automatic length" [checked]', '- slider "Draft length',
      '- textbox "Seed"', '- textbox "API key"');
  await page.getByLabel('Message', {exact: true}).fill('names');
  await page.getByLabel('Message', {exact: true}).press('Enter');
  await answerOver(page);
  await includes(
      page, '- article "Your message"', '- article "Answer"',
      '- group "Text of the answer. Left and right arrow step through its ' +
          'tokens."', '- button "Inspect tokens"',
      '- button "Replay with the same seed"');
  await page.getByRole('link', {name: 'Playground'}).click();
  await includes(page, '- textbox "Text to go on with"',
                 '- button "Continue the text"');
  await page.getByRole('link', {name: 'Race'}).click();
  await includes(page, '- group "The two runs"', 'radio "one after the other',
                 '- button "Start the race"');
  await page.getByRole('link', {name: 'Server'}).click();
  await page.locator('#server-workers tr').first().waitFor();
  await includes(page, '- table "Workers"', '- columnheader "State"',
                 '- rowheader "127.0.0.1:7201"');
}));

// Whatever can be operated has a name, and every picture a text.
for (const view of VIEWS) {
  test(`everything in ${view} has a name`, at(view, async (page) => {
    const snapshot = await page.locator('body').ariaSnapshot();
    const nameless = snapshot.split('\n').filter((line) =>
      /- (button|link|textbox|slider|spinbutton|combobox|checkbox|radio|img)\b/
          .test(line) && !line.includes('"'));
    assert.deepEqual(nameless, []);
  }));
}

test('everything by the keyboard, and the focus is seen', at(
    'chat', async (page) => {
      await page.locator('#models', {hasText: '1 model'}).waitFor();
      assert.equal(await page.evaluate(() => scrollY), 0);
      await page.keyboard.press('Tab');
      const focused = () => page.evaluate(() => {
        const {outlineStyle, outlineWidth} = getComputedStyle(
            document.activeElement);
        return {
          id: document.activeElement.id,
          text: document.activeElement.textContent.trim(),
          ring: `${outlineStyle} ${outlineWidth}`,
        };
      });
      assert.deepEqual(await focused(), {
        id: 'skip', text: 'Skip to the content', ring: 'solid 3px',
      });
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate(() => document.activeElement.id),
                   'main');
      await page.keyboard.press('Tab');
      const input = await focused();
      assert.equal(input.id, 'chat-input');
      assert.equal(input.ring, 'solid 3px');
      await page.keyboard.type('by keys');
      await page.keyboard.press('Enter');
      await answerOver(page);
      assert.equal((await focused()).id, 'chat-input');
      for (const id of ['chat-send', 'chat-new']) {
        await page.keyboard.press('Tab');
        assert.equal((await focused()).id, id);
      }
    }));

const background = (page) => page.evaluate(
    () => getComputedStyle(document.documentElement).backgroundColor);
const LIGHT = 'rgb(250, 249, 246)';
const DARK = 'rgb(23, 22, 21)';

test('the theme is the system\'s, until it is chosen', at(
    'chat', async (page) => {
      assert.equal(await background(page), DARK);
      const button = page.getByRole('button', {name: /^Theme/});
      await button.click();
      assert.equal(await button.textContent(), 'Theme: light');
      assert.equal(await background(page), LIGHT);
      await page.reload();
      assert.equal(await background(page), LIGHT);
      await button.click();
      await page.emulateMedia({colorScheme: 'light'});
      assert.equal(await background(page), DARK);
      await button.click();
      assert.equal(await button.textContent(), 'Theme: system');
      assert.equal(await background(page), LIGHT);
    }, {colorScheme: 'dark'}));

for (const view of VIEWS) {
  test(`nothing of ${view} is cut in a window of 400 pixels`, at(
      view, async (page) => {
        if (view === 'server') {
          await page.locator('#server-workers tr').first().waitFor();
        } else {
          const form = page.locator(`#${view}-form`);
          await form.locator('textarea').fill('w'.repeat(300));
          await form.locator('textarea').press('Enter');
          await answerOver(page, `#${view}`);
        }
        const wide = await page.evaluate(() => ({
          page: document.documentElement.scrollWidth,
          out: [...document.querySelectorAll('body *')].filter(
              (found) => found.getBoundingClientRect().right > innerWidth &&
                  !found.matches('.visually-hidden')).map(
              (found) => found.outerHTML.slice(0, 80)),
        }));
        assert.ok(wide.page <= 400, `${wide.page}: ${wide.out.join('\n')}`);
        assert.equal(await page.locator('#options').evaluate(
            (options) => options.open), false);
      }, {
        viewport: {width: 400, height: 800},
        behaviour: {texts: ['a'.repeat(200), ' b', '\n\n', 'c'.repeat(90)]},
      }));
}

test('motion is reduced where that is wanted', at(
    'playground', async (page) => {
      const animation = () => page.locator('.strip .round').first().evaluate(
          (round) => getComputedStyle(round).animationName);
      await page.getByRole('button', {name: 'Continue the text'}).click();
      await answerOver(page, '#playground');
      assert.equal(await animation(), 'none');
      await page.emulateMedia({reducedMotion: 'no-preference'});
      assert.equal(await animation(), 'appear');
    }));
