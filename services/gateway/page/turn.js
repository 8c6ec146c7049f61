// One turn of the gateway, streamed: reads its events, resumes it after a lost
// connection, and stops it. Knows nothing of the page.

import {readChunk} from './chunk.js';
import {Problem, problemOf} from './problem.js';
import {SseParser} from './sse.js';

// The gateway keeps a turn whose client went for 30 s: later it is gone.
const RESUME_MS = 30_000;
// From half a second, for a server that is only restarting its proxy, to 4 s,
// so that 30 s hold about ten tries.
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 4_000;
// A cancelled turn ends by its own event, within one round of the model.
const STOP_MS = 3_000;

// Errors in a stream after which its turn waits at the server: no worker, or no
// way to the coordinator, now.
const WAITING = new Set(['no_worker', 'unavailable']);

// Statuses that a proxy or a server under way gives: worth another try.
const PASSING = new Set([0, 429, 502, 503, 504]);

export class Turn {
  #api;
  #listener;
  #sleep;
  #now;
  #abort = new AbortController();
  #id = '';
  #lastEventId = '';
  #resumeEnd = null;  // since the last event; null while events come
  #stopped = false;

  // `listener` is {chunk(chunk), state(name, detail)}; the states are
  // "streaming", "resuming" (detail: seconds left) and "resumed". `sleep(ms,
  // signal)` and `now()` are the clock.
  constructor(api, listener, {sleep = sleepFor, now = monotonicMs} = {}) {
    this.#api = api;
    this.#listener = listener;
    this.#sleep = sleep;
    this.#now = now;
  }

  // Whether stop() was called.
  get stopped() {
    return this.#stopped;
  }

  // POSTs `body` and returns when the turn is over, also after stop(). Throws a
  // Problem.
  async run(path, body) {
    try {
      let response = await this.#api.open(
          path, {body, signal: this.#abort.signal});
      this.#id = response.headers.get('X-Tandem-Stream') ?? '';
      this.#listener.state('streaming');
      while (!await this.#read(response)) {
        response = await this.#resume();
        this.#listener.state('resumed');
      }
    } catch (error) {
      if (!this.#stopped) throw error;
    }
  }

  // Asks the server to end the turn, and ends it here if the server does not.
  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    if (!this.#id) {
      this.#abort.abort();
      return;
    }
    const giveUp = () => this.#abort.abort();
    this.#api.open(`/v1/streams/${this.#id}/cancel`, {post: true})
        .catch(giveUp);
    this.#sleep(STOP_MS, this.#abort.signal).then(giveUp, () => {});
  }

  // Whether the turn is over; if not, the connection was lost.
  async #read(response) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    let finished = false;
    try {
      for (;;) {
        const bytes = await nextBytes(reader);
        if (!bytes) return finished;
        const text = decoder.decode(bytes, {stream: true});
        for (const event of parser.push(text)) {
          if (event.id) this.#lastEventId = event.id;
          if (event.data === '[DONE]') return true;
          const chunk = readChunk(parseJson(event.data));
          if (chunk.error && this.#id && WAITING.has(chunk.error.code)) {
            return false;
          }
          if (chunk.error) throw problemOf(chunk.error);
          this.#resumeEnd = null;
          finished ||= chunk.finish !== null;
          this.#listener.chunk(chunk);
        }
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  // The answer that goes on where the last one was lost.
  async #resume() {
    let problem = new Problem({
      message: 'the connection was lost', code: 'lost',
    });
    if (!this.#id) throw problem;
    this.#resumeEnd ??= this.#now() + RESUME_MS;
    const headers = {'Last-Event-ID': this.#lastEventId || `${this.#id}-0-0`};
    for (let wait = RETRY_FIRST_MS;; wait = Math.min(2 * wait, RETRY_MAX_MS)) {
      const leftMs = this.#resumeEnd - this.#now();
      if (leftMs <= 0) throw problem;
      this.#listener.state('resuming', Math.ceil(leftMs / 1000));
      await this.#sleep(wait, this.#abort.signal);
      try {
        return await this.#api.open(
            `/v1/streams/${this.#id}`, {headers, signal: this.#abort.signal});
      } catch (error) {
        if (error.status === 404) {
          throw new Problem({
            message: 'the connection was lost for too long', code: 'gone',
          });
        }
        if (!PASSING.has(error.status)) throw error;
        problem = error;
      }
    }
  }
}

// What comes next; null where the stream ended or the connection was lost.
async function nextBytes(reader) {
  try {
    const {done, value} = await reader.read();
    return done ? null : value;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    return null;
  }
}

function parseJson(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Problem({message: 'the server sent an event that is no JSON'});
  }
}

function monotonicMs() {
  return performance.now();
}

function sleepFor(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException('stopped', 'AbortError'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, {once: true});
  });
}
