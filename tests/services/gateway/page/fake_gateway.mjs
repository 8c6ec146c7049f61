// A gateway for the page's tests: its files with the same headers, and the
// HTTP interface over a made-up model whose text depends on the seed alone. A
// test says by `behaviour` what goes wrong.

import {readFile} from 'node:fs/promises';
import http from 'node:http';
import {setTimeout as sleep} from 'node:timers/promises';

const PAGE = new URL('../../../../services/gateway/page/', import.meta.url);
const TYPES = {
  html: 'text/html; charset=utf-8', css: 'text/css', js: 'text/javascript',
  svg: 'image/svg+xml',
};
// Stricter than tandem-gateway's in nothing, laxer in nothing that matters here.
const SECURITY_POLICY = "default-src 'none'; script-src 'self'; style-src " +
    "'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'";

const WORDS = (' the king said to his daughter that a little old woman who ' +
    'lived in the wood would come at night and take what she had been ' +
    'promised , but nobody believed him .').match(/ \S+/g);

// [0, 1) by position and seed.
function noise(seed, position) {
  let value = (Number(seed) % 1e9 + 1) * 2654435761 + position * 40503;
  value = Math.imul(value ^ (value >>> 15), 2246822519) >>> 0;
  value = Math.imul(value ^ (value >>> 13), 3266489917) >>> 0;
  return (value >>> 0) / 2 ** 32;
}

function tokenAt(seed, position, texts) {
  if (texts) return {id: position, text: texts[position]};
  const id = Math.floor(noise(seed, position) * WORDS.length);
  return {id, text: WORDS[id]};
}

// What one turn sends, event by event: {tokens, rounds} with one round each.
function* roundsOf({seed, length, draftLength, texts}) {
  for (let at = 0; at < length;) {
    const drafted = Math.min(draftLength, length - at - 1);
    const accepted = Math.min(
        drafted, Math.floor(noise(seed, at + 7) * (drafted + 2)));
    const lookup = drafted > 0 && noise(seed, at + 3) < 0.2;
    const tokens = [];
    for (let i = 0; i <= accepted; ++i) {
      tokens.push({...tokenAt(seed, at + i, texts), drafted: i < accepted});
    }
    at += tokens.length;
    yield {
      tokens, rounds: [{drafted, accepted, tokens: tokens.length, lookup}],
    };
  }
}

function logprobOf(token, count) {
  const others = WORDS.slice(0, count).map(
      (text, index) => ({token: text, logprob: -1.8 - index}));
  return {
    token: token.text, logprob: -0.4,
    top_logprobs: [{token: token.text, logprob: -0.4},
                   ...others.filter(({token: text}) => text !== token.text)]
        .slice(0, count),
  };
}

export class FakeGateway {
  // {method, path, headers, body} of what was asked, the page's files left out.
  requests = [];
  // {delayMs, texts, error: {status, headers, error}, errorAfter: {tokens,
  // error}, loseAfter (tokens), refuseResumes (number), forget, drift,
  // ignoreCancel, status: {http} or fields, info, models}.
  behaviour = {};
  #turns = new Map();
  #sockets = new Set();
  #server = http.createServer((request, response) =>
    this.#answer(request, response).catch((error) => {
      if (!response.destroyed) response.destroy(error);
    }));

  async open(port = 0) {
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise((resolve) =>
      this.#server.listen(port, '127.0.0.1', resolve));
    this.port = this.#server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    return this;
  }

  async close() {
    this.#sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.#server.close(resolve));
  }

  // What was asked of `path`.
  asked(path) {
    return this.requests.filter((request) => request.path === path);
  }

  async #answer(request, response) {
    const path = request.url.split('?')[0];
    if (path === '/' || path.startsWith('/assets/')) {
      await this.#file(path, response);
      return;
    }
    let body = '';
    for await (const piece of request) body += piece;
    body = body === '' ? null : JSON.parse(body);
    const {method, headers} = request;
    this.requests.push({method, path, headers, body});
    if (this.behaviour.key &&
        headers.authorization !== `Bearer ${this.behaviour.key}`) {
      this.#error(response, 401, {
        message: 'this server needs an API key', code: 'invalid_key',
      });
      return;
    }
    const stream = path.match(/^\/v1\/streams\/([^/]+)(\/cancel)?$/);
    if (path === '/tandem/v1/info') {
      this.#json(response, this.behaviour.info ?? INFO);
    } else if (path === '/v1/models') {
      this.#json(response, {object: 'list', data: this.behaviour.models ??
          [{id: 'tales-target', object: 'model'}]});
    } else if (path === '/tandem/v1/status') {
      this.#status(response);
    } else if (stream) {
      await this.#resumeOrCancel(stream[1], Boolean(stream[2]), request,
                                 response);
    } else {
      await this.#start(path.includes('chat'), body, response);
    }
  }

  async #file(path, response) {
    const name = path === '/' ? 'index.html' : path.slice('/assets/'.length);
    response.writeHead(200, {
      'Content-Type': TYPES[name.split('.').pop()],
      'Content-Security-Policy': SECURITY_POLICY, 'Cache-Control': 'no-store',
    });
    response.end(await readFile(new URL(name, PAGE)));
  }

  #json(response, value, status = 200, headers = {}) {
    response.writeHead(
        status, {'Content-Type': 'application/json', ...headers});
    response.end(JSON.stringify(value));
  }

  #error(response, status, error, headers = {}) {
    this.#json(response, {error: {type: 'error', param: null, ...error}},
               status, headers);
  }

  #status(response) {
    const {status} = this.behaviour;
    if (status?.http) {
      this.#error(response, status.http, {
        message: 'the API key lacks the scope admin', code: 'missing_scope'});
    } else {
      this.#json(response, {...STATUS, ...status});
    }
  }

  async #start(chat, body, response) {
    const {error, drift, texts} = this.behaviour;
    if (error) {
      this.#error(response, error.status, error.error, error.headers);
      return;
    }
    const turn = {
      id: `${String(this.#turns.size + 1).padStart(32, '0')}-1`, chat,
      seed: body.seed ?? 4711, cancelled: false, sent: [],
      logprobs: chat ? body.top_logprobs ?? null : body.logprobs ?? null,
      usage: body.stream_options?.include_usage ?? false,
      startMs: performance.now(),
    };
    const seed = drift ? this.#turns.size : turn.seed;
    turn.left = roundsOf({
      seed, texts, length: Math.min(body.max_tokens, texts?.length ?? Infinity),
      draftLength: body.tandem.draft_length ?? 4,
    });
    this.#turns.set(turn.id, turn);
    this.#head(turn, response);
    await this.#send(turn, response, 0);
  }

  async #resumeOrCancel(id, cancel, request, response) {
    const turn = this.#turns.get(id);
    if (cancel) {
      turn.cancelled = !this.behaviour.ignoreCancel;
      this.#json(response, {});
    } else if (this.behaviour.refuseResumes > 0) {
      this.behaviour.refuseResumes -= 1;
      request.socket.destroy();
    } else if (!turn || this.behaviour.forget) {
      this.#error(response, 404, {
        message: 'there is no such stream', code: 'unknown_session'});
    } else {
      const tokens = Number(request.headers['last-event-id'].split('-')[2]);
      this.#head(turn, response);
      await this.#send(turn, response, tokens);
    }
  }

  #head(turn, response) {
    response.writeHead(200, {
      'Content-Type': 'text/event-stream', 'X-Tandem-Stream': turn.id,
      'Cache-Control': 'no-store',
    });
  }

  // The events after `received` tokens. What was sent before is sent without
  // rounds, as the service does it.
  async #send(turn, response, received) {
    const event = (json, tokens) => response.write(
        `id: ${turn.id}-${tokens}-${tokens}\n` +
        `data: ${JSON.stringify(json)}\n\n`);
    event(this.#chunk(turn, '', null, {
      session_id: turn.id.split('-')[0], turn: 1, seed: turn.seed,
      fingerprint: 'f00d', prompt_tokens: 9,
    }), received);
    const again = turn.sent.slice(received)
        .map(({id, text}) => ({id, text}));
    if (again.length > 0) {
      event(this.#chunk(turn, joined(again), null, {tokens: again, rounds: []}),
            turn.sent.length);
    }
    for (;;) {
      await sleep(this.behaviour.delayMs ?? 1);
      if (response.destroyed) return;
      const {done, value} = turn.left.next();
      if (done || turn.cancelled) break;
      const {tokens, rounds} = value;
      turn.sent.push(...tokens);
      turn.rounds = [...turn.rounds ?? [], ...rounds];
      event(this.#chunk(turn, joined(tokens), null, {tokens, rounds}, tokens),
            turn.sent.length);
      if (this.#fails(turn, response)) return;
    }
    this.#finish(turn, event);
    response.end('data: [DONE]\n\n');
  }

  #fails(turn, response) {
    const {loseAfter, errorAfter} = this.behaviour;
    if (loseAfter !== undefined && turn.sent.length >= loseAfter) {
      delete this.behaviour.loseAfter;
      response.socket.destroy();
      return true;
    }
    if (errorAfter && turn.sent.length >= errorAfter.tokens) {
      response.end(`data: ${JSON.stringify({error: errorAfter.error})}\n\n`);
      return true;
    }
    return false;
  }

  #finish(turn, event) {
    const sum = (name) => (turn.rounds ?? []).reduce(
        (total, round) => total + round[name], 0);
    const generated = turn.sent.length;
    const reason = turn.cancelled ? 'cancelled' : 'length';
    event(this.#chunk(turn, '', turn.cancelled ? 'stop' : 'length', {
      finish_reason: reason,
      speculation: {
        rounds: turn.rounds?.length ?? 0, drafted_tokens: sum('drafted'),
        accepted_tokens: sum('accepted'), first_token_us: 12_000,
        total_us: 12_000 + Math.round(1000 *
            (performance.now() - turn.startMs)),
        no_draft_reason: sum('drafted') > 0 ? 'unspecified' : 'off',
      },
      usage: {prompt_tokens: 9, generated_tokens: generated,
              cached_prompt_tokens: 0},
    }), generated);
    if (turn.usage) {
      event({choices: [], usage: {prompt_tokens: 9,
                                  completion_tokens: generated}}, generated);
    }
  }

  #chunk(turn, text, finish, tandem, tokens = []) {
    const choice = {index: 0, finish_reason: finish};
    if (turn.chat) {
      choice.delta = {content: text};
    } else {
      choice.text = text;
    }
    if (turn.logprobs !== null && tokens.length > 0) {
      const content = tokens.map((token) => logprobOf(token, turn.logprobs));
      choice.logprobs = turn.chat ? {content} : {
        tokens: content.map(({token}) => token),
        token_logprobs: content.map(({logprob}) => logprob),
        top_logprobs: content.map(({top_logprobs: top}) => Object.fromEntries(
            top.map(({token, logprob}) => [token, logprob]))),
      };
    }
    return {id: turn.id, choices: [choice], tandem};
  }
}

function joined(tokens) {
  return tokens.map(({text}) => text).join('');
}

// Floats as tandem-gateway writes them.
export const INFO = {
  version: '9.9.9', keys: false,
  default_options: {tandem: {
    max_tokens: 512, temperature: 0.699999988079071,
    top_p: 0.8999999761581421, top_k: 40,
    repetition_penalty: 1.100000023841858,
  }},
};

const WORKER = {
  address: '127.0.0.1:7201', role: 'target', state: 'serving', reason: '',
  model_id: 'tales-target', fingerprint: 'f00d', numerics: 'int8',
  streams_open: 3, streams_waiting: 0, kv_tokens_free: 6144, kv_tokens: 8192,
  pass_us: 2310, draft_length: 4,
};

export const STATUS = {
  version: '9.9.9', uptime_seconds: 7384, draining: false, sessions: 12,
  turns: 3, generated_tokens: 120034, drafted_tokens: 90321,
  accepted_tokens: 65432,
  workers: [
    WORKER,
    {...WORKER, address: 'target-1.targets.tandem.svc.cluster.local:7201',
     state: 'draining', reason: 'draining', streams_waiting: 2,
     kv_tokens_free: 512},
    {...WORKER, address: '127.0.0.1:7301', role: 'draft',
     model_id: 'tales-draft', pass_us: 410, draft_length: 0},
    {...WORKER, address: '127.0.0.1:7302', role: 'draft', state: 'connecting',
     reason: 'connection refused', model_id: '', kv_tokens: 0, pass_us: 0},
  ],
};
