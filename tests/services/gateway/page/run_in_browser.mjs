// Installs playwright-core into the build folder and runs the tests that need a
// browser. Exit code 77 and a line that says why: skipped, since what they need
// can not be had here.
//
// node run_in_browser.mjs [SCRIPT ARGUMENT...]: runs that script instead.

import {spawnSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {installPackages} from '../../../node_packages.mjs';

const SKIPPED = 77;
// Each file has a browser of its own, and waits most of its time.
const FILES_AT_ONCE = 3;
const HERE = path.dirname(fileURLToPath(import.meta.url));
const BUILD = process.env.TANDEM_BINARY_DIR ??
    path.join(HERE, '../../../../build/release');
const MODULES = path.join(BUILD, 'node/page');

function skip(why) {
  console.log(`page tests skipped: ${why}`);
  process.exit(SKIPPED);
}

if (!existsSync('/usr/bin/chromium')) {
  skip('there is no /usr/bin/chromium; run tools/setup');
}
const why = installPackages(HERE, MODULES);
if (why) skip(`npm can not install playwright-core: ${why}`);
const tests = readdirSync(path.join(HERE, 'browser'))
    .filter((name) => name.endsWith('_test.mjs'))
    .map((name) => path.join(HERE, 'browser', name));
const [script, ...rest] = process.argv.slice(2);
const {status} = spawnSync(
    process.execPath,
    script ? [path.join(HERE, script), ...rest] :
        ['--test', `--test-concurrency=${FILES_AT_ONCE}`, ...tests], {
      stdio: 'inherit',
      env: {...process.env, TANDEM_NODE_DIR: MODULES, TANDEM_BINARY_DIR: BUILD},
    });
process.exit(status ?? 1);
