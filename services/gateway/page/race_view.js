// The race: one prompt and one seed, without drafts and with them. What is
// compared is tokens per second after the first token, by the server's clock.

import {Busy} from './busy.js';
import {submitOnEnter} from './chat_view.js';
import {announce, byId, element} from './dom.js';
import {raceSentence, short} from './figures.js';
import {
  completionRequest, drawnSeed, withSeed, withoutLogprobs,
} from './options.js';
import {verdictOf} from './replay.js';
import {Reply} from './reply.js';

class Lane {
  arrivals = [];  // by token: milliseconds after the first one
  #rate = element('span', {class: 'rate'}, '\u2013');
  #bar = element('span', {class: 'bar'});

  constructor(label, draftLength) {
    this.draftLength = draftLength;
    this.reply = new Reply(label);
    this.element = element(
        'div', {class: 'lane'},
        element('p', {class: 'speed'}, this.#rate, ' tokens/s'),
        element('span', {class: 'track', 'aria-hidden': 'true'}, this.#bar),
        this.reply.element);
  }

  async run(api, request, onChunk) {
    let firstMs = null;
    await this.reply.run(api, request, (chunk) => {
      const now = performance.now();
      if (chunk.tokens.length > 0) firstMs ??= now;
      this.arrivals.push(...chunk.tokens.map(() => now - firstMs));
      onChunk();
    });
    onChunk();
  }

  // `best` is the highest rate of all lanes.
  showRate(best) {
    const {rate} = this.reply;
    if (rate === null) return;
    this.#rate.textContent = short(rate);
    this.#bar.style.inlineSize = `${100 * rate / best}%`;
  }

  showUntil(ms) {
    this.reply.reveal(this.arrivals.filter((arrival) => arrival <= ms).length);
  }
}

export class RaceView {
  #api;
  #options;
  #lanes = [];
  #playing = 0;

  constructor(api, options) {
    this.#api = api;
    this.#options = options;
    this.busy = new Busy(byId('race-start'), byId('race-stop'));
    byId('race-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#run();
    });
    byId('race-again').addEventListener('click', () => this.#play());
    submitOnEnter(byId('race-prompt'));
  }

  async #run() {
    const options = this.busy.active ? null : this.#options.read();
    if (!options) return;
    const request = withoutLogprobs(
        completionRequest(byId('race-prompt').value, options));
    const seed = options.seed === '' ? drawnSeed() : options.seed;
    // A race of nothing against nothing would show nothing.
    const drafts = options.draftLength === 0 ? null : options.draftLength;
    this.#playing += 1;
    this.#lanes = [
      new Lane('Without drafts', 0),
      new Lane(`With drafts, length ${drafts ?? 'automatic'}`, drafts),
    ];
    byId('race-lanes').replaceChildren(
        ...this.#lanes.map((lane) => lane.element));
    this.#showVerdict('', '');
    const start = (lane) => lane.run(
        this.#api, withSeed(request, seed, {draft_length: lane.draftLength}),
        () => this.#showRates());
    const together = byId('race-together').checked;
    await this.busy.during(this.#lanes.map((lane) => lane.reply), async () => {
      const [first, second] = this.#lanes;
      if (together) {
        await Promise.all([start(first), start(second)]);
      } else {
        await start(first);
        if (!first.reply.problem && !first.reply.stopped) await start(second);
      }
    });
    this.#end();
  }

  #showRates() {
    const rates = this.#lanes.map((lane) => lane.reply.rate ?? 0);
    this.#lanes.forEach((lane) => lane.showRate(Math.max(...rates)));
  }

  #end() {
    const [without, drafts] = this.#lanes.map((lane) => lane.reply);
    if (!without.complete || !drafts.complete) return;
    const speed = raceSentence(without.rate, drafts.rate);
    this.#showVerdict(speed, verdictOf(without, drafts));
    announce(`${speed} ${verdictOf(without, drafts)}`);
  }

  #showVerdict(speed, equality) {
    byId('race-speed').textContent = speed;
    byId('race-equality').textContent = equality;
    byId('race-verdict').hidden = speed === '';
  }

  // Shows both texts coming again, side by side, at the times at which they
  // came; asked for, so also where motion is reduced.
  #play() {
    if (this.busy.active) return;
    const playing = this.#playing += 1;
    const lanes = this.#lanes;
    const startMs = performance.now();
    const end = Math.max(...lanes.map((lane) => lane.arrivals.at(-1) ?? 0));
    const frame = () => {
      if (playing !== this.#playing) return;
      const ms = performance.now() - startMs;
      lanes.forEach((lane) => lane.showUntil(ms < end ? ms : Infinity));
      if (ms < end) requestAnimationFrame(frame);
    };
    frame();
  }
}
