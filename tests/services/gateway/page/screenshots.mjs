// Pictures of the page to look at, over the fake gateway:
//
// node run_in_browser.mjs screenshots.mjs FOLDER

import {mkdirSync} from 'node:fs';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';

import {answerOver, openBrowser, openPage} from './browser.mjs';
import {FakeGateway} from './fake_gateway.mjs';

const folder = process.argv[2];
mkdirSync(folder, {recursive: true});
const WIDE = {width: 1280, height: 860};
const NARROW = {width: 400, height: 800};

async function say(page, text) {
  await page.getByLabel('Message', {exact: true}).fill(text);
  await page.getByLabel('Message', {exact: true}).press('Enter');
}

async function chat(page) {
  await say(page, 'Tell me of the old king, and of what he had promised.');
  await answerOver(page);
  await say(page, 'And then?');
  await answerOver(page);
}

async function card(page) {
  await chat(page);
  await page.locator('#chat .token.draft').nth(60).click();
}

async function replay(page) {
  await page.getByRole('button', {name: 'Continue the text'}).click();
  await answerOver(page, '#playground');
  await page.getByRole('button', {name: 'Replay with the same seed'}).click();
  await page.locator('.replay .verdict').waitFor();
}

async function race(page) {
  await page.getByRole('button', {name: 'Start the race'}).click();
  await page.locator('#race-verdict').waitFor();
}

async function server(page) {
  await page.locator('#server-workers tr').first().waitFor();
  await sleep(2200);
}

async function startText(page) {
  await page.getByRole('button', {name: 'Continue the text'}).click();
}

async function problem(page) {
  await startText(page);
  await page.locator('#playground [role=alert]').waitFor();
}

async function lost(page) {
  await startText(page);
  await page.locator('.state.lost').waitFor();
}

async function options(page) {
  await page.locator('#options summary').click();
}

const LONG = ['Rindfleischetikettierungs\u00ADüberwachungs'.repeat(12), ' ',
              'x'.repeat(600), '\n\n', '- one\n', '- two\n', '\u6F22\u5B57'];
const EXHAUSTED = {status: 429, headers: {'Retry-After': '4'}, error: {
  message: 'the tenant has 4 turns, as many as it may have at once',
  code: 'exhausted',
}};

const PICTURES = {
  empty: {view: 'chat'},
  chat: {view: 'chat', act: chat},
  card: {view: 'chat', act: card},
  playground: {view: 'playground', act: replay},
  race: {view: 'race', act: race, behaviour: {delayMs: 5}},
  server: {view: 'server', act: server},
  error: {view: 'playground', act: problem, behaviour: {error: EXHAUSTED}},
  lost: {view: 'playground', act: lost,
         behaviour: {delayMs: 5, loseAfter: 60, refuseResumes: 9}},
  long: {view: 'chat', act: (page) => say(page, 'w'.repeat(400)),
         behaviour: {texts: LONG}},
  key: {view: 'chat', behaviour: {key: 'x'}},
};

async function take(browser, name, {view, act, behaviour = {}}, options) {
  const gateway = await new FakeGateway().open();
  gateway.behaviour = structuredClone(behaviour);
  const page = await openPage(browser, `${gateway.url}#/${view}`, options);
  await page.locator('#models', {hasNotText: 'connecting'}).waitFor();
  await act?.(page);
  if (!act?.name.startsWith('card')) await page.mouse.move(1, 1);
  await sleep(150);
  await page.screenshot({path: path.join(folder, `${name}.png`)});
  console.log(`${name}.png`, page.trouble.join(' '));
  await page.context().close();
  await gateway.close();
}

const browser = await openBrowser();
for (const [name, picture] of Object.entries(PICTURES)) {
  await take(browser, `${name}-wide`, picture, {viewport: WIDE});
  await take(browser, `${name}-dark`, picture,
             {viewport: WIDE, colorScheme: 'dark'});
  await take(browser, `${name}-narrow`, picture, {viewport: NARROW});
}
await take(browser, 'options-narrow', {view: 'race', act: options},
           {viewport: NARROW});
await browser.close();
