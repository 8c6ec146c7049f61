// Figures and the sentences that are made of them.

import assert from 'node:assert/strict';
import test from 'node:test';

import * as figures from '../../../../services/gateway/page/figures.js';
import {roundsSentence} from '../../../../services/gateway/page/round_view.js';
import {figureRows} from '../../../../services/gateway/page/server_view.js';
import {tokenSummary} from '../../../../services/gateway/page/token_card.js';

function chunk(tokens, rounds = []) {
  return {tokens: Array(tokens).fill({}), rounds};
}

test('live figures count rounds, and time from the first event on', () => {
  let now = 1000;
  const live = new figures.LiveFigures(() => now);
  assert.equal(live.rate, null);
  live.add(chunk(4, [{drafted: 4, accepted: 3, tokens: 4}]));
  assert.equal(live.rate, null);
  now = 1500;
  live.add(chunk(3, [{drafted: 2, accepted: 2, tokens: 3}]));
  now = 9000;
  live.add(chunk(0));
  assert.equal(live.tokens, 7);
  assert.equal(live.rate, 6);
  assert.deepEqual(
      [live.rounds, live.proposed, live.accepted, live.corrected],
      [2, 6, 5, 1]);
  assert.equal(roundsSentence(live), '2 rounds: 6 proposed, 5 accepted, ' +
      'corrected by the target 1 time');
});

test('a turn without drafts says so', () => {
  assert.equal(
      roundsSentence({rounds: 1, proposed: 0, accepted: 0, corrected: 0}),
      '1 round, none with a draft');
  const final = figures.finalFigures({
    rounds: 3, drafted_tokens: 0, accepted_tokens: 0, first_token_us: 0,
    total_us: 0, no_draft_reason: 'NO_DRAFT_REASON_DOES_NOT_PAY',
  }, {generated: 3});
  assert.equal(final.acceptance, null);
  assert.equal(final.rate, null);
  assert.match(final.noDraft, /no draft promised/);
  assert.equal(figures.noDraftSentence('off'),
               'Nothing was drafted: the draft length is 0.');
  assert.equal(figures.noDraftSentence(undefined), '');
});

test('the server\'s figures at the end', () => {
  assert.deepEqual(figures.finalFigures({
    rounds: 4, drafted_tokens: 10, accepted_tokens: 7, first_token_us: 50_000,
    total_us: 1_050_000,
  }, {generated: 11}), {
    tokens: 11, rate: 10, firstTokenMs: 50, proposed: 10, accepted: 7,
    acceptance: 0.7, tokensPerRound: 2.75, noDraft: '',
  });
});

test('runs are compared token by token', () => {
  const run = (...ids) => ids.map((id) => ({id, text: `t${id}`}));
  const compared = (left, right) =>
      figures.equalitySentence(figures.compareRuns(left, right));
  assert.equal(compared(run(1, 2, 3), run(1, 2, 3)),
               'Same seed, same text: all 3 tokens are equal.');
  assert.equal(compared(run(1), run(1)),
               'Same seed, same text: all 1 token are equal.');
  assert.equal(compared(run(1, 2, 3), run(1, 9, 3)),
               'The texts differ from token 2 on; 1 token before it is equal.');
  assert.equal(compared(run(1, 2), run(9, 2)),
               'The texts differ from their first token on.');
  assert.equal(compared(run(1, 2), run(1, 2, 3)),
               'The texts differ from token 3 on; 2 tokens before it are ' +
               'equal.');
  // One id whose text was cut is another text.
  assert.equal(figures.compareRuns([{id: 1, text: 'a'}],
                                   [{id: 1, text: 'b'}]).equal, false);
  assert.match(figures.equalitySentence(
      figures.compareRuns(run(1), run(1)), true), /that both have/);
});

test('what a race is said to have shown', () => {
  assert.match(figures.raceSentence(100, 184), /^With drafts: 1\.84 times/);
  assert.match(figures.raceSentence(100, 101), /as fast/);
  assert.match(figures.raceSentence(100, 80), /did not pay here: 0\.80 times/);
  assert.match(figures.raceSentence(null, 80), /too short/);
});

test('numbers, times and tokens as people read them', () => {
  assert.equal(figures.short(0.12345), '0.123');
  assert.equal(figures.short(12.345), '12.3');
  assert.equal(figures.short(1234.5), '1,235');
  assert.equal(figures.percent(0.714), '71%');
  assert.equal(figures.percent(0.0123), '1.2%');
  assert.equal(figures.percent(0), '0%');
  assert.equal(figures.counted(1, 'token'), '1 token');
  assert.equal(figures.counted(1200, 'token'), '1,200 tokens');
  assert.equal(figures.duration(0), '0 s');
  assert.equal(figures.duration(200), '3 min 20 s');
  assert.equal(figures.duration(86400 * 3 + 60), '3 d');
  assert.equal(figures.visible(' a\n\tb'), '\u2423a\\n\\tb');
  assert.equal(figures.visible(''), '(part of a character)');
});

test('a token in one sentence', () => {
  assert.equal(tokenSummary({
    text: ' king', mark: 'own', logprob: Math.log(0.5),
    alternatives: [{text: ' king', logprob: Math.log(0.5)},
                   {text: ' queen', logprob: Math.log(0.25)}],
  }), '\u2423king; the target\u2019s own; probability 50%; instead of ' +
      '\u2423queen 25%');
  assert.equal(tokenSummary({text: 'a', mark: 'draft', logprob: null,
                             alternatives: []}),
               'a; proposed by the draft model, accepted by the target');
});

test('the server\'s rates are differences of two answers', () => {
  const at = (ms, generated_tokens, drafted_tokens = 0) => ({
    ms,
    status: {version: '1.2', draining: false, uptime_seconds: '61',
             sessions: 2, turns: 1, generated_tokens, drafted_tokens,
             accepted_tokens: drafted_tokens / 2},
  });
  const row = (rows, name) => rows.find(([key]) => key === name)?.[1];
  const first = figureRows(at(0, 100), null);
  assert.equal(row(first, 'up for'), '1 min 1 s');
  assert.equal(row(first, 'tokens/s now'), undefined);
  assert.equal(row(first, 'of drafts accepted'), undefined);
  const second = figureRows(at(2000, '150', 8), at(0, 100));
  assert.equal(row(second, 'tokens/s now'), '25');
  assert.equal(row(second, 'of drafts accepted'), '50%');
  // A coordinator that was started again counts from 0.
  assert.equal(row(figureRows(at(2000, 5), at(0, 100)), 'tokens/s now'),
               undefined);
});
