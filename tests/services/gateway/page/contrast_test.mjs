// The colours keep WCAG 2.2's contrast in both themes: 4.5 for text (1.4.3), 3
// for what controls and marks are known by (1.4.11).

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import test from 'node:test';

const PAGE = new URL('../../../../services/gateway/page/', import.meta.url);
const css = readFileSync(new URL('colors.css', PAGE), 'utf8');
const colors = Object.fromEntries([...css.matchAll(
    /--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g)].map(
    ([, name, light, dark]) => [name, {light, dark}]));

const TEXT = [
  ['text', ['page', 'surface', 'soft', 'draft-tint', 'lookup-tint',
            'problem-tint']],
  ['muted', ['page', 'surface', 'soft', 'draft-tint']],
  ['accent', ['page', 'surface']],
  ['on-accent', ['accent']],
  ['page', ['text']],  // the token under the pointer
  ['problem', ['page', 'surface', 'problem-tint']],
  ['rejected', ['page']],
  ['draft', ['surface']],
  ['lookup', ['surface']],
];
const MARKS = [
  ['edge', ['page', 'surface']],
  ['focus', ['page', 'surface', 'soft']],
  ['accent', ['soft']],
  ['draft', ['page', 'draft-tint']],
  ['lookup', ['page', 'lookup-tint']],
  ['own', ['page']],
  ['rejected', ['page']],
];

// WCAG's relative luminance.
function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort(
      (a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

test('black on white is 21 to 1', () => {
  assert.equal(contrast('#000000', '#ffffff'), 21);
});

for (const theme of ['light', 'dark']) {
  for (const [pairs, least] of [[TEXT, 4.5], [MARKS, 3]]) {
    for (const [front, backs] of pairs) {
      for (const back of backs) {
        test(`${theme}: ${front} on ${back} has ${least} to 1`, () => {
          const found = contrast(colors[front][theme], colors[back][theme]);
          assert.ok(found >= least, `${found.toFixed(2)} to 1`);
        });
      }
    }
  }
}

test('colours stand in colors.css alone', () => {
  for (const name of ['page.css', 'reply.css']) {
    const text = readFileSync(new URL(name, PAGE), 'utf8');
    assert.deepEqual(text.match(/#[0-9a-f]{3,8}\b/gi) ?? [], [], name);
  }
});

test('every colour that is used is defined', () => {
  for (const name of ['page.css', 'reply.css']) {
    const text = readFileSync(new URL(name, PAGE), 'utf8');
    for (const [, used] of text.matchAll(/var\(--([\w-]+)\)/g)) {
      assert.ok(colors[used], `${name}: --${used}`);
    }
  }
});
