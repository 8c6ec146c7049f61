// Errors as a sentence and what helps.

import assert from 'node:assert/strict';
import test from 'node:test';

import {Api} from '../../../../services/gateway/page/api.js';
import {
  Problem, asProblem, problemOf, sentence,
} from '../../../../services/gateway/page/problem.js';

test('sentences', () => {
  assert.equal(sentence('no such model'), 'No such model.');
  assert.equal(sentence('top_k must be 0'), 'top_k must be 0.');
  assert.equal(sentence('messages[0].role is wrong'),
               'messages[0].role is wrong.');
  assert.equal(sentence('Is it?'), 'Is it?');
  assert.equal(sentence(' '), 'The server gave no reason.');
});

test('remedies by reason, status and time', () => {
  assert.match(problemOf({message: 'x', code: 'no_worker'}).remedy,
               /target worker/);
  assert.match(problemOf({message: 'x', code: null}, 401).remedy, /API key/);
  assert.equal(problemOf({message: 'x', code: 'exhausted'}, 429, 3).remedy,
               'Try again in 3 seconds.');
  assert.equal(problemOf({message: 'x', code: 'exhausted'}, 429, 1).remedy,
               'Try again in 1 second.');
  assert.equal(problemOf({message: 'x'}).remedy, '');
});

test('anything that is thrown becomes a problem', () => {
  assert.equal(asProblem(new TypeError('oops')).message,
               'The page failed: oops.');
  const problem = new Problem({message: 'x'});
  assert.equal(asProblem(problem), problem);
});

function answer(body, init) {
  return new Api(async (path, options) => {
    answer.path = path;
    answer.options = options;
    return new Response(body, init);
  });
}

test('answers that are not 2xx are problems', async () => {
  const api = answer(JSON.stringify({error: {
    message: 'the key is not known', code: 'invalid_key'}}), {status: 401});
  await assert.rejects(api.json('/x'), (problem) => {
    assert.equal(problem.message, 'The key is not known.');
    assert.equal(problem.status, 401);
    return problem.code === 'invalid_key';
  });
  await assert.rejects(
      answer('<html>', {status: 502, headers: {'Retry-After': '1.2'}})
          .json('/x'),
      {message: 'The server answered with status 502.',
       remedy: 'Try again in 2 seconds.'});
});

test('requests have the key, a body makes them POST', async () => {
  const api = answer('{"a": 1}', {status: 200});
  assert.deepEqual(await api.json('/x'), {a: 1});
  assert.equal(answer.options.method, 'GET');
  assert.equal(answer.options.headers['Authorization'], undefined);
  api.key = 'sk';
  await api.open('/y', {body: {b: 2}, headers: {Q: '1'}});
  assert.equal(answer.options.method, 'POST');
  assert.equal(answer.options.body, '{"b":2}');
  assert.deepEqual(answer.options.headers, {
    'Authorization': 'Bearer sk', 'Content-Type': 'application/json', 'Q': '1',
  });
});

test('no answer at all', async () => {
  const api = new Api(async () => {
    throw new TypeError('fetch failed');
  });
  await assert.rejects(api.json('/x'), {code: 'unreachable', status: 0});
});
