// The rounds of a turn as small columns: from below, the draft's tokens that
// were accepted, those that were rejected, and the target's own on top.

import {element} from './dom.js';
import {counted} from './figures.js';

// Columns that stay; earlier ones go, the figures count them all.
const ROUNDS_SHOWN_MAX = 240;

export class RoundView {
  #strip = element('div', {class: 'strip', role: 'img'});
  #caption = element('p', {class: 'note'});

  constructor() {
    this.element = element('div', {class: 'rounds', hidden: true},
                           this.#caption, this.#strip);
  }

  // The rounds of one event, and what all of them add up to (LiveFigures).
  add(rounds, figures) {
    if (rounds.length === 0) return;
    this.element.hidden = false;
    this.#strip.append(...rounds.map(column));
    while (this.#strip.childElementCount > ROUNDS_SHOWN_MAX) {
      this.#strip.firstElementChild.remove();
    }
    this.#caption.textContent = roundsSentence(figures);
    this.#strip.setAttribute('aria-label', this.#caption.textContent);
  }
}

// What is said of all rounds of a turn.
export function roundsSentence({rounds, proposed, accepted, corrected}) {
  if (proposed === 0) return `${counted(rounds, 'round')}, none with a draft`;
  return `${counted(rounds, 'round')}: ${proposed} proposed, ${accepted} ` +
      `accepted, corrected by the target ${counted(corrected, 'time')}`;
}

function column({drafted, accepted, tokens, lookup}) {
  const cells = [
    ...Array(accepted).fill(lookup ? 'lookup' : 'draft'),
    ...Array(Math.max(drafted - accepted, 0)).fill('rejected'),
    ...Array(tokens > accepted ? 1 : 0).fill('own'),
  ];
  return element('span', {class: 'round'},
                 ...cells.map((kind) => element('i', {class: kind})));
}
