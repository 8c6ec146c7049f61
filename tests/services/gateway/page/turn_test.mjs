// A turn's stream: its end, lost connections, errors, Stop. The gateway is a
// list of answers, the clock jumps.

import assert from 'node:assert/strict';
import test from 'node:test';

import {Api} from '../../../../services/gateway/page/api.js';
import {Turn} from '../../../../services/gateway/page/turn.js';

function event(text, tokens, finish = null) {
  const chunk = {
    choices: [{index: 0, text, finish_reason: finish}],
    tandem: {tokens: text ? [{id: tokens, text, drafted: false}] : []},
  };
  return `id: abc-1-${tokens}-${tokens}\ndata: ${JSON.stringify(chunk)}\n\n`;
}

const DONE = 'data: [DONE]\n\n';

// The answer of a stream that sends `pieces` and then ends, breaks ("break") or
// stays open until it is aborted ("open").
function stream(pieces, end = 'end') {
  return ({signal}) => {
    const body = new ReadableStream({
      start(controller) {
        const encoder = new TextEncoder();
        pieces.forEach((piece) => controller.enqueue(encoder.encode(piece)));
        if (end === 'end') controller.close();
        if (end === 'open') {
          signal.addEventListener('abort', () => controller.error(
              new DOMException('aborted', 'AbortError')));
        }
      },
      pull(controller) {
        if (end === 'break') controller.error(new TypeError('network error'));
      },
    }, {highWaterMark: 0});
    return new Response(body, {headers: {'X-Tandem-Stream': 'abc-1'}});
  };
}

function failure(status, code) {
  return () => new Response(JSON.stringify({error: {message: code, code}}),
                            {status});
}

function unreachable() {
  throw new TypeError('fetch failed');
}

// Runs a turn against `answers`, the last of which repeats.
class Run {
  requests = [];
  states = [];
  text = '';
  ms = 0;

  constructor(...answers) {
    const api = new Api(async (path, options) => {
      this.requests.push({path, ...options});
      if (path.endsWith('/cancel')) {
        return this.cancel?.() ?? new Response('{}');
      }
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      return answer(options);
    });
    this.turn = new Turn(api, {
      chunk: (chunk) => {
        this.text += chunk.text;
        this.onChunk?.();
      },
      state: (name) => {
        this.states.push(name);
        this.onState?.(name);
      },
    }, {
      now: () => this.ms,
      sleep: async (ms, signal) => {
        await new Promise((resolve) => setImmediate(resolve));
        if (signal.aborted) throw new DOMException('stopped', 'AbortError');
        this.ms += ms;
      },
    });
  }

  run() {
    return this.turn.run('/v1/completions', {prompt: 'x'});
  }
}

test('a stream to its end', async () => {
  const run = new Run(stream([event('a', 1), event('b', 2, 'stop'), DONE]));
  await run.run();
  assert.equal(run.text, 'ab');
  assert.deepEqual(run.states, ['streaming']);
  assert.equal(run.requests.length, 1);
  assert.equal(run.requests[0].method, 'POST');
});

test('an end without [DONE] but with its reason is an end', async () => {
  const run = new Run(stream([event('a', 1, 'length')]));
  await run.run();
  assert.equal(run.requests.length, 1);
});

for (const end of ['end', 'break']) {
  test(`a lost connection is resumed (${end})`, async () => {
    const run = new Run(
        stream([event('a', 1), event('b', 2)], end), unreachable,
        failure(503, 'no_worker'),
        stream([event('c', 3, 'stop'), DONE]));
    await run.run();
    assert.equal(run.text, 'abc');
    assert.deepEqual(run.states, ['streaming', 'resuming', 'resuming',
                                  'resuming', 'resumed']);
    const last = run.requests.at(-1);
    assert.equal(last.path, '/v1/streams/abc-1');
    assert.equal(last.method, 'GET');
    assert.equal(last.headers['Last-Event-ID'], 'abc-1-2-2');
  });
}

test('a connection that is lost before the first event', async () => {
  const run = new Run(stream([]), stream([event('a', 1, 'stop'), DONE]));
  await run.run();
  assert.equal(run.text, 'a');
  assert.equal(run.requests[1].headers['Last-Event-ID'], 'abc-1-0-0');
});

test('a turn whose worker went waits and goes on', async () => {
  const error = {error: {message: 'no target', code: 'no_worker'}};
  const run = new Run(
      stream([event('a', 1), `data: ${JSON.stringify(error)}\n\n`, DONE]),
      stream([event('b', 2, 'stop'), DONE]));
  await run.run();
  assert.equal(run.text, 'ab');
});

test('after 30 seconds it is given up, also if answers hold nothing',
     async () => {
       for (const [answer, code] of [[unreachable, 'unreachable'],
                                     [stream([]), 'lost']]) {
         const run = new Run(stream([event('a', 1)]), answer);
         await assert.rejects(run.run(), {code});
         assert.ok(run.ms >= 30_000 && run.ms < 40_000, `${run.ms} ms`);
       }
     });

test('a turn that the server has forgotten', async () => {
  const run = new Run(stream([event('a', 1)]), failure(404, 'unknown_session'));
  await assert.rejects(run.run(), {code: 'gone'});
});

test('errors before, in and after the stream', async () => {
  await assert.rejects(new Run(failure(400, 'invalid_options')).run(),
                       {code: 'invalid_options', status: 400});
  const error = {error: {message: 'NaN', code: 'numeric_corruption'}};
  await assert.rejects(
      new Run(stream([`data: ${JSON.stringify(error)}\n\n`])).run(),
      {code: 'numeric_corruption'});
  await assert.rejects(new Run(stream(['data: {\n\n'])).run(), /no JSON/);
  await assert.rejects(
      new Run(stream([event('a', 1)]), failure(401, 'invalid_key')).run(),
      {code: 'invalid_key'});
});

test('stop cancels at the server and reads its last event', async () => {
  let send;
  const run = new Run(() => {
    const body = new ReadableStream({
      start(controller) {
        send = (text) => controller.enqueue(new TextEncoder().encode(text));
        send(event('a', 1));
      },
    });
    return new Response(body, {headers: {'X-Tandem-Stream': 'abc-1'}});
  });
  run.cancel = () => send(event('', 1, 'cancelled') + DONE);
  run.onChunk = () => run.turn.stop();
  await run.run();
  assert.equal(run.text, 'a');
  assert.equal(run.turn.stopped, true);
  assert.equal(run.requests[1].path, '/v1/streams/abc-1/cancel');
  assert.equal(run.requests[1].method, 'POST');
});

test('stop ends the turn here where the server does not', async () => {
  const run = new Run(stream([event('a', 1)], 'open'));
  run.onChunk = () => run.turn.stop();
  await run.run();
  assert.equal(run.text, 'a');
  assert.equal(run.turn.stopped, true);
});

test('stop before there is an answer', async () => {
  const run = new Run(({signal}) => new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(
        new DOMException('aborted', 'AbortError')));
  }));
  const ended = run.run();
  run.turn.stop();
  await ended;
  assert.equal(run.requests.length, 1);
});

test('stop while it tries to resume', async () => {
  const run = new Run(stream([event('a', 1)]), unreachable);
  run.cancel = unreachable;
  run.onState = (name) => name === 'resuming' && run.turn.stop();
  await run.run();
  assert.equal(run.text, 'a');
  assert.equal(run.turn.stopped, true);
});
