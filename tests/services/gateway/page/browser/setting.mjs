// What every file of tests here has: a browser, and for each test a gateway
// and the page of one of its views.

import {after, before} from 'node:test';

import {closePage, openBrowser, openPage} from '../browser.mjs';
import {FakeGateway} from '../fake_gateway.mjs';

let browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

// A test's body: `work(page, gateway)` with the page at `view`.
export function at(view, work, {behaviour = {}, ...options} = {}) {
  return async () => {
    const gateway = await new FakeGateway().open();
    gateway.behaviour = behaviour;
    try {
      const page = await openPage(browser, `${gateway.url}#/${view}`, options);
      await work(page, gateway);
      await closePage(page);
    } finally {
      await gateway.close();
    }
  };
}
