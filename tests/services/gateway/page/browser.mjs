// Debian's Chromium, driven by playwright-core, and the page in it.

import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {setTimeout as sleep} from 'node:timers/promises';

// Where run_in_browser.mjs has installed what package.json asks for.
const require = createRequire(`${process.env.TANDEM_NODE_DIR}/`);
const {chromium} = require('playwright-core');

// Far above what any step needs.
const LIMIT_MS = 20_000;

// Flags: no sandbox, since Chromium has none as root; nothing is opened but the
// pages of these tests. The others keep it from asking hosts of its maker.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update',
  '--disable-sync',
];

export function openBrowser() {
  return chromium.launch({executablePath: '/usr/bin/chromium', args: FLAGS});
}

// The page at `url`, in a profile of its own. `trouble` collects what must not
// be: errors of scripts, violations of the security policy, other hosts.
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({
    viewport: {width: 1200, height: 800}, reducedMotion: 'reduce', ...options,
  });
  context.setDefaultTimeout(LIMIT_MS);
  const page = await context.newPage();
  page.trouble = [];
  page.on('pageerror', (error) => page.trouble.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) {
      page.trouble.push(message.text());
    }
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) {
      page.trouble.push(`asked ${request.url()}`);
    }
  });
  await page.goto(url);
  return page;
}

// Closes the page; nothing went wrong unseen.
export async function closePage(page) {
  assert.deepEqual(page.trouble, []);
  await page.context().close();
}

// Until `condition` does not throw; then what it returns.
export async function eventually(condition) {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    try {
      return await condition();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(25);
    }
  }
}

// Until the last answer in `scope` is over.
export async function answerOver(page, scope = 'main') {
  await page.locator(`${scope} .reply`).last().waitFor();
  await eventually(async () => assert.equal(
      await page.locator(`${scope} .reply[aria-busy]`).count(), 0));
}
