// The gateway's HTTP interface: requests with the API key, answers as JSON or
// as a Problem. No other host is ever asked.

import {Problem, problemOfResponse} from './problem.js';

export class Api {
  // The key is in memory only; who wants it kept does so.
  key = '';
  #fetch;

  constructor(fetch) {
    this.#fetch = fetch;
  }

  // The answer to GET `path`, or to POST where there is a body, if it is 2xx.
  // Throws a Problem, or an AbortError where `signal` says so.
  async open(path, options = {}) {
    const {body, post = body !== undefined, headers = {}, signal} = options;
    const all = {...headers};
    if (this.key) all['Authorization'] = `Bearer ${this.key}`;
    if (body !== undefined) all['Content-Type'] = 'application/json';
    let response;
    try {
      response = await this.#fetch(path, {
        method: post ? 'POST' : 'GET', headers: all, signal, cache: 'no-store',
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem({
        message: 'the gateway can not be reached', code: 'unreachable',
      });
    }
    if (!response.ok) throw await problemOfResponse(response);
    return response;
  }

  async json(path, options) {
    const response = await this.open(path, options);
    return response.json();
  }
}
