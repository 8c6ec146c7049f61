// The chat: messages, answers, and the form for the next message. Every request
// has the whole conversation, so that a chat outlives the server's sessions;
// the server keeps what it has computed of it.

import {Busy} from './busy.js';
import {byId, element, scrollToEnd} from './dom.js';
import {chatRequest} from './options.js';
import {offerReplay} from './replay.js';
import {Reply} from './reply.js';

export class ChatView {
  #api;
  #options;
  #turns = [];  // {message, reply}
  #log = byId('chat-log');
  #input = byId('chat-input');

  constructor(api, options) {
    this.#api = api;
    this.#options = options;
    this.busy = new Busy(byId('chat-send'), byId('chat-stop'));
    byId('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    byId('chat-new').addEventListener('click', () => this.#clear());
    submitOnEnter(this.#input);
  }

  #send() {
    const message = this.#input.value;
    if (this.busy.active || message.trim() === '') return;
    const options = this.#options.read();
    if (!options) return;
    this.#input.value = '';
    this.#answer(message, options);
  }

  async #answer(message, options) {
    const turn = {message, reply: new Reply('Answer')};
    const request = chatRequest(this.#messages(message), options);
    const card = element(
        'div', {class: 'turn'},
        element('article', {class: 'message', 'aria-label': 'Your message'},
                element('h3', {class: 'who'}, 'You'),
                element('p', {}, message)),
        turn.reply.element);
    this.#log.append(card);
    byId('chat-empty').hidden = true;
    scrollToEnd();
    this.#turns.push(turn);
    await this.busy.during([turn.reply],
                           () => turn.reply.run(this.#api, request));
    if (turn.reply.problem) {
      turn.reply.addAction('Try again', () => this.#retry(turn, card));
    } else if (turn.reply.started && turn.reply.tokens.length > 0) {
      offerReplay({
        api: this.#api, busy: this.busy, options: this.#options,
        original: turn.reply, request,
      });
    }
  }

  #retry(turn, card) {
    const options = this.busy.active ? null : this.#options.read();
    if (!options) return;
    this.#turns = this.#turns.filter((other) => other !== turn);
    card.remove();
    this.#answer(turn.message, options);
    this.#input.focus();
  }

  // The conversation with `message` as its last; turns without an answer are
  // left out, since templates want the roles to alternate.
  #messages(message) {
    const system = this.#options.systemMessage;
    return [
      ...(system === '' ? [] : [{role: 'system', content: system}]),
      ...this.#turns.filter(({reply}) => reply.text !== '').flatMap(
          ({message, reply}) => [
            {role: 'user', content: message},
            {role: 'assistant', content: reply.text},
          ]),
      {role: 'user', content: message},
    ];
  }

  #clear() {
    this.busy.stop();
    this.#turns = [];
    this.#log.replaceChildren();
    byId('chat-empty').hidden = false;
    this.#input.focus();
  }
}

// Enter submits the form of `input`, Shift+Enter makes a new line; Enter that
// ends the input of a composed character does neither.
export function submitOnEnter(input) {
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    input.form.requestSubmit();
  });
}
