// Packages of npm for tests. They are installed into the build folder, as the
// package-lock.json beside the test says.

import {spawnSync} from 'node:child_process';
import {
  copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync,
} from 'node:fs';
import path from 'node:path';

const LOCK = 'package-lock.json';

// Installs what the lock in the folder `source` names into the folder
// `modules`, if it is not there yet. Returns why it can not; '' where it is
// there.
export function installPackages(source, modules) {
  const lock = readFileSync(path.join(source, LOCK), 'utf8');
  const stamp = path.join(modules, 'installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return '';
  mkdirSync(modules, {recursive: true});
  for (const name of ['package.json', LOCK]) {
    copyFileSync(path.join(source, name), path.join(modules, name));
  }
  const {status, stderr, error} = spawnSync(
      'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'],
      {cwd: modules, encoding: 'utf8'});
  if (status !== 0) return error?.message ?? stderr.trim().split('\n')[0];
  writeFileSync(stamp, lock);
  return '';
}
