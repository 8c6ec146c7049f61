// One answer in the page: its text, what happens to it, its rounds, its
// figures. Chat, playground and race are made of these.

import {announce, element, keepEnd} from './dom.js';
import {LiveFigures, counted, finalFigures, percent, short} from './figures.js';
import {asProblem} from './problem.js';
import {RoundView} from './round_view.js';
import {TokenView} from './token_view.js';
import {Turn} from './turn.js';

const FINISH_WORDS = {
  length: 'max tokens',
  stop: 'a stop of the model or of the options',
  stop_token: 'the model\u2019s end token',
  stop_string: 'a stop string',
  grammar_end: 'the end of its format',
  context: 'the end of the model\u2019s context',
  cancelled: 'Stop',
  deadline: 'its deadline',
};

export class Reply {
  // Of the turn, where the server has said it: see chunk.js.
  started = null;
  finish = null;
  speculation = null;
  usage = null;
  problem = null;
  #turn = null;
  #drawing = false;
  #live = new LiveFigures(() => performance.now());
  #text = new TokenView();
  #rounds = new RoundView();
  #state = element('p', {class: 'state', hidden: true});
  #figures = element('dl', {class: 'figures', hidden: true});
  #actions = element('p', {class: 'buttons', hidden: true});

  constructor(label) {
    this.element = element(
        'article', {class: 'reply', 'aria-label': label},
        element('h3', {class: 'who'}, label), this.#text.element, this.#state,
        this.#rounds.element, this.#figures, this.#actions);
  }

  get tokens() {
    return this.#text.tokens;
  }

  get text() {
    return this.#text.text;
  }

  get stopped() {
    return this.#turn?.stopped ?? false;
  }

  // Over, with all of its text.
  get complete() {
    return this.finish !== null && this.problem === null;
  }

  // Tokens per second: the server's figure at the end, else as they come here;
  // null while it is not known.
  get rate() {
    return this.#final()?.rate ?? this.#live.rate;
  }

  // Runs the request to its end; what fails is shown, and is in `problem`.
  // `onChunk` is called after each event.
  async run(api, {path, body}, onChunk = () => {}) {
    this.#turn = new Turn(api, {
      chunk: (chunk) => {
        this.#take(chunk);
        onChunk(chunk);
      },
      state: (name, detail) => this.#showState(name, detail),
    });
    this.element.setAttribute('aria-busy', 'true');
    this.#say('Waiting for the first token.', 'waiting');
    try {
      await this.#turn.run(path, body);
    } catch (error) {
      this.problem = asProblem(error);
    }
    this.element.removeAttribute('aria-busy');
    this.#end();
  }

  stop() {
    if (!this.element.hasAttribute('aria-busy')) return;
    this.#say('Stopping.');
    this.#turn.stop();
  }

  // Shows the first `count` tokens only; Infinity shows all.
  reveal(count) {
    this.#text.reveal(count);
  }

  // A button below the figures.
  addAction(label, onclick) {
    this.#actions.hidden = false;
    this.#actions.append(
        element('button', {type: 'button', class: 'small', onclick}, label));
  }

  #take(chunk) {
    this.#draw();
    this.started = chunk.started ?? this.started;
    this.finish = chunk.finish ?? this.finish;
    this.usage = chunk.usage ?? this.usage;
    this.speculation = chunk.speculation ?? this.speculation;
    if (chunk.tokens.length > 0 && this.#isSaid('waiting')) this.#say('');
    this.#live.add(chunk);
    this.#text.add(chunk);
    this.#rounds.add(chunk.rounds, this.#live);
  }

  // What needs the page's layout, which takes 4 ms after 2,000 tokens: once a
  // frame, not once an event. Called before what is new is added.
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    const keep = keepEnd();
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#showFigures();
      keep();
    });
  }

  #showState(name, seconds) {
    if (name === 'resuming') {
      if (!this.#isSaid('lost')) {
        announce('The connection was lost. Trying to go on.');
      }
      this.#say('The connection was lost. Trying to go on where it stopped; ' +
                `${counted(seconds, 'second')} left.`, 'lost');
    } else if (name === 'resumed') {
      this.#say('The connection was lost once; the answer went on where it ' +
                'stopped.', 'resumed');
      announce('The answer goes on.');
    }
  }

  #say(text, kind = '') {
    this.#state.textContent = text;
    this.#state.hidden = text === '';
    this.#state.className = `state ${kind}`;
  }

  #isSaid(kind) {
    return this.#state.classList.contains(kind);
  }

  #end() {
    this.#draw();
    if (!this.#isSaid('resumed')) this.#say('');
    this.#showFigures();
    if (this.problem) {
      this.#state.after(problemElement(this.problem));
    } else {
      announce(`${this.element.getAttribute('aria-label')} complete: ` +
               `${counted(this.tokens.length, 'token')}.`);
    }
    if (this.tokens.length > 0) {
      this.addAction('Inspect tokens', () => this.#text.inspect());
      this.addAction('Copy', () => this.#copy());
    }
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.text);
      announce('Copied.');
      this.#say('Copied.');
    } catch {
      this.#say('The browser does not let the page copy: select the text and ' +
                'copy it by hand.');
    }
  }

  #final() {
    return this.speculation ? finalFigures(this.speculation, this.usage) : null;
  }

  #showFigures() {
    const rows = [];
    const final = this.#final();
    rows.push(['tokens', (final?.tokens ?? this.tokens.length)
        .toLocaleString('en')]);
    if (this.rate !== null) rows.push(['tokens/s', short(this.rate)]);
    if (final) {
      if (final.acceptance !== null) {
        rows.push(['of drafts accepted', percent(final.acceptance)]);
      }
      if (final.tokensPerRound !== null) {
        rows.push(['tokens per round', short(final.tokensPerRound)]);
      }
      rows.push(['ms to first token', short(final.firstTokenMs)]);
    }
    if (this.started) rows.push(['seed', this.started.seed, 'named']);
    if (this.finish) {
      rows.push(['ended by', this.stopped ? FINISH_WORDS.cancelled :
                 FINISH_WORDS[this.finish] ?? this.finish, 'named']);
    }
    this.#figures.hidden = this.tokens.length === 0 && !final;
    this.#figures.replaceChildren(
        ...rows.map(([name, value, kind]) => element(
            'div', {class: kind}, element('dt', {}, name), element('dd', {}, value))),
        final?.noDraft ?
            element('div', {class: 'wide'}, element('dt', {}, 'drafts'),
                    element('dd', {}, final.noDraft)) : '');
  }
}

// A problem with its remedy, said at once to screen readers.
export function problemElement(problem, ...buttons) {
  return element(
      'div', {class: 'problem', role: 'alert'},
      element('p', {}, element('strong', {}, problem.message)),
      problem.remedy ? element('p', {}, problem.remedy) : null,
      buttons.length > 0 ? element('p', {class: 'buttons'}, ...buttons) : null);
}
