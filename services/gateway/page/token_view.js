// The text of an answer, token by token: each is marked by who decided it, and
// shows its alternatives in a card on hover, on a click and by the keyboard.

import {announce, element} from './dom.js';
import {hideCard, showCard, tokenSummary} from './token_card.js';

// Each token is an element; a page with more of them scrolls badly. Text past
// that is one element without marks.
const TOKENS_MARKED_MAX = 8192;

export class TokenView {
  tokens = [];
  #cursor = -1;
  #pinned = false;
  #rest = null;

  constructor() {
    this.element = element('div', {
      class: 'tokens', role: 'group', tabindex: '0',
      'aria-label': 'Text of the answer. Left and right arrow step through ' +
          'its tokens.',
      onkeydown: (event) => this.#onKey(event),
      onclick: (event) => this.#click(event),
      onpointerover: (event) => this.#hover(event),
      onpointerleave: () => this.#leave(),
      onfocusout: (event) => this.#onFocusOut(event),
    });
  }

  get text() {
    return this.tokens.map((token) => token.text).join('');
  }

  // The tokens of a chunk, or its text where that is all it has: what was held
  // back of the last token.
  add(chunk) {
    if (chunk.tokens.length > 0) {
      chunk.tokens.forEach((token) => this.#append(token));
    } else if (chunk.text !== '') {
      this.#addText(chunk.text);
    }
  }

  // Steps into the text, as a button next to it may ask.
  inspect() {
    this.element.focus();
    this.#pin(0);
  }

  // Shows the first `count` tokens only, as if the others had not come yet.
  reveal(count) {
    [...this.element.children].forEach(
        (span, index) => span.classList.toggle('veiled', index >= count));
  }

  #append(token) {
    const index = this.tokens.push(token) - 1;
    if (index >= TOKENS_MARKED_MAX) {
      if (!this.#rest) {
        this.#rest = element('span');
        this.element.append(this.#rest);
      }
      this.#rest.append(token.text);
      return;
    }
    this.element.append(element(
        'span', {class: `token ${token.mark}`, 'data-index': index},
        token.text));
  }

  #addText(text) {
    const last = this.tokens.at(-1);
    if (!last) {
      this.#append({
        id: -1, text, mark: 'unknown', logprob: null, alternatives: [],
      });
      return;
    }
    last.text += text;
    this.element.lastElementChild.append(text);
  }

  #span(index) {
    return this.element.children[index];
  }

  #hover(event) {
    const index = indexOf(event.target);
    if (this.#pinned || index < 0 || event.pointerType === 'touch') return;
    showCard(this.tokens[index], this.#span(index), null);
  }

  // A click that ends the selection of a text is none.
  #click(event) {
    if (getSelection().isCollapsed) this.#pin(indexOf(event.target));
  }

  #leave() {
    if (!this.#pinned) hideCard();
  }

  #onFocusOut(event) {
    if (!event.relatedTarget?.closest('#token-card')) this.#close();
  }

  #onKey(event) {
    const last = Math.min(this.tokens.length, TOKENS_MARKED_MAX) - 1;
    const to = {
      ArrowRight: Math.min(this.#cursor + 1, last),
      ArrowLeft: Math.max(this.#cursor - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined && last >= 0) {
      event.preventDefault();
      this.#pin(to);
    }
  }

  #pin(index) {
    if (index < 0 || !this.tokens[index] || !this.#span(index)) return;
    this.#span(this.#cursor)?.classList.remove('current');
    this.#cursor = index;
    this.#pinned = true;
    const span = this.#span(index);
    span.classList.add('current');
    span.scrollIntoView({block: 'nearest'});
    showCard(this.tokens[index], span, {
      step: (by) => this.#pin(index + by),
      close: () => {
        this.#close();
        this.element.focus();
      },
    });
    announce(tokenSummary(this.tokens[index]));
  }

  #close() {
    this.#span(this.#cursor)?.classList.remove('current');
    this.#cursor = -1;
    this.#pinned = false;
    hideCard();
  }
}

function indexOf(target) {
  return Number(target.closest('.token')?.dataset.index ?? -1);
}
