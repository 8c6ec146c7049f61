// Options and the requests that are made of them.

import assert from 'node:assert/strict';
import {webcrypto} from 'node:crypto';
import test from 'node:test';

import {
  SEED_MAX, chatRequest, completionRequest, drawnSeed, seedProblem, withSeed,
  withoutLogprobs,
} from '../../../../services/gateway/page/options.js';

globalThis.crypto ??= webcrypto;  // Node.js 18 has none, browsers do

const OPTIONS = {
  model: 'm', sliders: {max_tokens: 5, temperature: 0.7}, seed: '',
  draftLength: null, alternatives: 0,
};

test('a chat', () => {
  const messages = [{role: 'user', content: 'hello'}];
  assert.deepEqual(chatRequest(messages, OPTIONS), {
    path: '/v1/chat/completions',
    body: {
      model: 'm', max_tokens: 5, temperature: 0.7, stream: true,
      stream_options: {include_usage: true},
      tandem: {draft_length: null, resumable: true}, messages,
    },
  });
  const {body} = chatRequest(messages, {...OPTIONS, alternatives: 3});
  assert.equal(body.logprobs, true);
  assert.equal(body.top_logprobs, 3);
});

test('a completion, and the same with its seed', () => {
  const request = completionRequest(
      'once', {...OPTIONS, alternatives: 3, draftLength: 0, seed: '0'});
  assert.equal(request.path, '/v1/completions');
  assert.equal(request.body.logprobs, 3);
  assert.equal(request.body.seed, 0);
  assert.equal(request.body.tandem.draft_length, 0);
  const again = withSeed(request, '77', {draft_length: 4});
  assert.equal(again.body.seed, 77);
  assert.deepEqual(again.body.tandem, {draft_length: 4, resumable: true});
  assert.equal(request.body.seed, 0);
  assert.equal('logprobs' in withoutLogprobs(request).body, false);
  assert.equal(withoutLogprobs(request).body.prompt, 'once');
});

test('seeds are whole numbers that JSON keeps', () => {
  for (const good of ['', ' ', '0', '17', String(SEED_MAX)]) {
    assert.equal(seedProblem(good), '', good);
  }
  for (const bad of ['-1', '1.5', 'x', '1e3', String(2 ** 53), '0x10']) {
    assert.match(seedProblem(bad), /whole number from 0 to 9007199254740991/);
  }
  for (let i = 0; i < 100; ++i) assert.equal(seedProblem(drawnSeed()), '');
  assert.notEqual(drawnSeed(), drawnSeed());
});
