// The server: its pools of workers and what they do now. It is asked every two
// seconds, and only while somebody can see it.

import {byId, element} from './dom.js';
import {counted, duration, percent, short} from './figures.js';
import {asProblem} from './problem.js';
import {problemElement} from './reply.js';

const POLL_MS = 2_000;

export class ServerView {
  #api;
  #visible = false;
  #timer = 0;
  #asking = false;
  #last = null;  // {ms, status} of the answer before

  constructor(api) {
    this.#api = api;
    document.addEventListener('visibilitychange', () => this.#schedule(0));
  }

  // Whether its section is the one that is shown.
  set visible(visible) {
    this.#visible = visible;
    this.#schedule(0);
  }

  #schedule(ms) {
    clearTimeout(this.#timer);
    if (!this.#visible || document.hidden || this.#asking) return;
    this.#timer = setTimeout(() => this.#ask(), ms);
  }

  async #ask() {
    this.#asking = true;
    try {
      this.#show(await this.#api.json('/tandem/v1/status'));
    } catch (error) {
      this.#showProblem(asProblem(error));
    }
    this.#asking = false;
    this.#schedule(POLL_MS);
  }

  // An alert is said whenever it comes: the same one stays as it is.
  #showProblem(problem) {
    const box = byId('server-problem');
    if (box.dataset.message === problem.message) return;
    box.dataset.message = problem.message;
    box.replaceChildren(problemElement(problem));
    byId('server-status').hidden = true;
    this.#last = null;
  }

  #show(status) {
    byId('server-problem').replaceChildren();
    delete byId('server-problem').dataset.message;
    const now = {ms: performance.now(), status};
    byId('server-figures').replaceChildren(
        ...figureRows(now, this.#last).map(([name, value]) => element(
            'div', {}, element('dt', {}, name), element('dd', {}, value))));
    byId('server-workers').replaceChildren(
        ...(status.workers ?? []).map(workerRow));
    byId('server-none').hidden = (status.workers ?? []).length > 0;
    byId('server-status').hidden = false;
    this.#last = now;
  }
}

// [name, text] of what the coordinator counts; rates are differences of two
// answers.
export function figureRows(now, last) {
  const {status} = now;
  const rows = [
    ['version', status.version || 'not known'],
    ['state', status.draining ? 'draining: takes no new turns' : 'serving'],
    ['up for', duration(Number(status.uptime_seconds))],
    ['sessions kept', short(Number(status.sessions))],
    ['turns now', short(Number(status.turns))],
  ];
  const since = (name) =>
      Number(status[name]) - Number(last?.status[name] ?? status[name]);
  if (last && since('generated_tokens') >= 0) {
    rows.push(['tokens/s now', short(
        since('generated_tokens') * 1000 / (now.ms - last.ms))]);
  }
  const drafted = Number(status.drafted_tokens);
  if (drafted > 0) {
    rows.push(['of drafts accepted',
               percent(Number(status.accepted_tokens) / drafted)]);
  }
  return rows;
}

// Cells have their column's name too, for windows that are too narrow for a
// table.
function workerRow(worker) {
  const cell = (label, ...content) =>
      element('td', {'data-label': label}, ...content);
  const state = String(worker.state);
  return element(
      'tr', {},
      element('th', {scope: 'row', 'data-label': 'Worker'}, worker.address),
      cell('Role', String(worker.role)),
      cell('State', element('span', {class: `worker-state ${state}`}, state),
           worker.reason ? element('p', {class: 'note'}, worker.reason) : ''),
      cell('Model', worker.model_id || '\u2013'),
      cell('Streams', streams(worker)),
      cell('KV in use', ...kvUse(worker)),
      cell('Pass', Number(worker.pass_us) > 0 ?
          `${short(Number(worker.pass_us) / 1000)} ms` : '\u2013'),
      cell('Draft length', worker.role === 'target' ?
          String(worker.draft_length ?? 0) : '\u2013'));
}

function streams({streams_open: open, streams_waiting: waiting}) {
  return Number(waiting) > 0 ? `${open}, ${waiting} waiting` :
      String(open ?? 0);
}

function kvUse({kv_tokens: all, kv_tokens_free: free}) {
  if (!(Number(all) > 0)) return ['\u2013'];
  const share = (Number(all) - Number(free)) / Number(all);
  const bar = element('span', {class: 'bar'});
  bar.style.inlineSize = `${share * 100}%`;
  return [
    `${percent(share)} `,
    element('span', {class: 'note'}, `of ${counted(Number(all), 'token')}`),
    element('span', {class: 'track', 'aria-hidden': 'true'}, bar),
  ];
}
