// The playground: a text is continued as it stands, without a chat's format.

import {Busy} from './busy.js';
import {submitOnEnter} from './chat_view.js';
import {byId} from './dom.js';
import {completionRequest} from './options.js';
import {offerReplay} from './replay.js';
import {Reply} from './reply.js';

export class PlaygroundView {
  #api;
  #options;
  #prompt = byId('playground-prompt');

  constructor(api, options) {
    this.#api = api;
    this.#options = options;
    this.busy = new Busy(byId('playground-start'), byId('playground-stop'));
    byId('playground-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#run();
    });
    submitOnEnter(this.#prompt);
  }

  async #run() {
    const options = this.busy.active ? null : this.#options.read();
    if (!options) return;
    const request = completionRequest(this.#prompt.value, options);
    const reply = new Reply('Continuation');
    byId('playground-output').replaceChildren(reply.element);
    await this.busy.during([reply], () => reply.run(this.#api, request));
    if (reply.problem) {
      reply.addAction('Try again', () => this.#run());
    } else if (reply.started && reply.tokens.length > 0) {
      offerReplay({
        api: this.#api, busy: this.busy, options: this.#options,
        original: reply, request,
      });
    }
  }
}
