// What chunks say, in the page's terms.

import assert from 'node:assert/strict';
import test from 'node:test';

import {readChunk} from '../../../../services/gateway/page/chunk.js';

const marks = (chunk) => chunk.tokens.map(({mark}) => mark);
const texts = (chunk) => chunk.tokens.map(({text}) => text);

test('tokens of a completion, with their rounds', () => {
  const chunk = readChunk({
    choices: [{index: 0, text: ' a b c', finish_reason: null}],
    tandem: {
      tokens: [
        {id: 5, text: ' a', drafted: true}, {id: 6, text: ' b', drafted: false},
        {id: 7, text: ' c', drafted: true},
      ],
      rounds: [
        {drafted: 2, accepted: 1, tokens: 2, lookup: false},
        {drafted: 1, accepted: 1, tokens: 1, lookup: true},
      ],
    },
  });
  assert.equal(chunk.text, ' a b c');
  assert.deepEqual(texts(chunk), [' a', ' b', ' c']);
  assert.deepEqual(marks(chunk), ['draft', 'own', 'lookup']);
  assert.deepEqual(chunk.rounds[0],
                   {drafted: 2, accepted: 1, tokens: 2, lookup: false});
  assert.equal(chunk.finish, null);
  assert.equal(chunk.started, null);
  assert.equal(chunk.error, null);
});

test('without rounds who drafted is not told apart', () => {
  const chunk = readChunk({
    choices: [{delta: {content: 'ab'}}],
    tandem: {tokens: [{id: 1, text: 'a', drafted: true}, {id: 2, text: 'b'}]},
  });
  assert.deepEqual(marks(chunk), ['draft', 'unknown']);
});

test('text that is held back stands at the last token', () => {
  const chunk = readChunk({
    choices: [{text: 'é'}],
    tandem: {tokens: [{id: 1, text: '\uFFFD', drafted: false},
                      {id: 2, text: '\uFFFD', drafted: false}]},
  });
  assert.deepEqual(texts(chunk), ['', 'é']);
});

test('thoughts are text too, before the answer', () => {
  const chunk = readChunk({
    choices: [{delta: {reasoning_content: 'so', content: 'Yes'}}],
    tandem: {tokens: [{id: 1, text: 'so', drafted: false},
                      {id: 2, text: 'Yes', drafted: false}]},
  });
  assert.equal(chunk.text, 'soYes');
  assert.deepEqual(texts(chunk), ['so', 'Yes']);
});

test('the first and the last chunk', () => {
  const first = readChunk({
    choices: [{delta: {role: 'assistant', content: ''}}],
    tandem: {session_id: 'ab', turn: '3', seed: 7, fingerprint: 'f',
             prompt_tokens: 4},
  });
  assert.deepEqual(first.started, {
    sessionId: 'ab', turn: 3, seed: '7', fingerprint: 'f', promptTokens: 4,
  });
  const last = readChunk({
    choices: [{delta: {}, finish_reason: 'length'}],
    tandem: {
      finish_reason: 'context',
      speculation: {rounds: '4', drafted_tokens: 9,
                    drafted_by_position: [4, 5], no_draft_reason: 'off'},
      usage: {prompt_tokens: 4, generated_tokens: 8, cached_prompt_tokens: 2},
    },
  });
  assert.equal(last.finish, 'context');
  assert.equal(last.speculation.rounds, 4);
  assert.equal(last.speculation.no_draft_reason, 'off');
  assert.deepEqual(last.usage, {prompt: 4, generated: 8, cached: 2});
});

test('the usage chunk has no choice', () => {
  const chunk = readChunk({
    choices: [],
    usage: {prompt_tokens: 3, completion_tokens: 5,
            prompt_tokens_details: {cached_tokens: 1}},
  });
  assert.deepEqual(chunk.usage, {prompt: 3, generated: 5, cached: 1});
  assert.equal(chunk.text, '');
  assert.deepEqual(chunk.tokens, []);
});

test('log-probabilities of chats and of completions', () => {
  const tokens = [{id: 1, text: 'a', drafted: false}];
  const alternatives = [{text: 'a', logprob: -0.5}, {text: 'b', logprob: -2}];
  const chat = readChunk({
    choices: [{
      delta: {content: 'a'},
      logprobs: {content: [{
        token: 'a', logprob: -0.5,
        top_logprobs: [{token: 'a', logprob: -0.5}, {token: 'b', logprob: -2}],
      }]},
    }],
    tandem: {tokens},
  });
  const completion = readChunk({
    choices: [{
      text: 'a',
      logprobs: {tokens: ['a'], token_logprobs: [-0.5],
                 top_logprobs: [{b: -2, a: -0.5}], text_offset: [0]},
    }],
    tandem: {tokens},
  });
  for (const chunk of [chat, completion]) {
    assert.equal(chunk.tokens[0].logprob, -0.5);
    assert.deepEqual(chunk.tokens[0].alternatives, alternatives);
  }
});

test('none were asked for, none are there', () => {
  const [token] = readChunk({
    choices: [{text: 'a', logprobs: null}],
    tandem: {tokens: [{id: 1, text: 'a', drafted: false}]},
  }).tokens;
  assert.equal(token.logprob, null);
  assert.deepEqual(token.alternatives, []);
});

test('an error in the stream', () => {
  const error = {message: 'no room', type: 'x', param: null, code: 'exhausted'};
  assert.deepEqual(readChunk({error}).error, error);
});
