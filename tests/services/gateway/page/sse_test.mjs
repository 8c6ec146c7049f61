// Server-sent events, however the text is cut.

import assert from 'node:assert/strict';
import test from 'node:test';

import {SseParser} from '../../../../services/gateway/page/sse.js';

const STREAM = '\uFEFF: a comment\n' +
    'id: s-1-2-9\ndata: first\ndata:second\n\n' +
    'event: error\r\ndata: {"a": "b:c"}\r\n\r\n' +
    'retry: 5\rdata\r\r' +
    'id: bad\0id\nnonsense: x\ndata:  two spaces\n\n' +
    'id\ndata: [DONE]\n\n';

const EVENTS = [
  {event: 'message', data: 'first\nsecond', id: 's-1-2-9'},
  {event: 'error', data: '{"a": "b:c"}', id: 's-1-2-9'},
  {event: 'message', data: '', id: 's-1-2-9'},
  {event: 'message', data: ' two spaces', id: 's-1-2-9'},
  {event: 'message', data: '[DONE]', id: ''},
];

test('a stream in one piece', () => {
  assert.deepEqual(new SseParser().push(STREAM), EVENTS);
});

test('a stream cut anywhere, and into single characters', () => {
  for (let cut = 0; cut <= STREAM.length; ++cut) {
    const parser = new SseParser();
    assert.deepEqual(
        [...parser.push(STREAM.slice(0, cut)), ...parser.push(''),
         ...parser.push(STREAM.slice(cut))],
        EVENTS, `cut at ${cut}`);
  }
  const parser = new SseParser();
  assert.deepEqual([...STREAM].flatMap((char) => parser.push(char)), EVENTS);
});

test('what has no empty line after it is no event yet', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push('data: x\n'), []);
  assert.deepEqual(parser.push('\n').map(({data}) => data), ['x']);
  assert.deepEqual(parser.push('\n\n: ping\n\n'), []);
});

test('an event without an end is refused', () => {
  const parser = new SseParser();
  const mebibyte = 'x'.repeat(1 << 20);
  assert.throws(() => {
    for (let i = 0; i < 9; ++i) parser.push(`data: ${mebibyte}\n`);
  }, /longer than/);
});
