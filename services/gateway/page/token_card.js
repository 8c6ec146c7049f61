// The card of a token: who decided it, how probable it was and what else could
// have stood there. There is one in the page; it stands beside its token.

import {byId, element} from './dom.js';
import {percent, visible} from './figures.js';

const MARK_WORDS = {
  draft: 'proposed by the draft model, accepted by the target',
  lookup: 'found by prompt lookup, accepted by the target',
  own: 'the target\u2019s own',
  unknown: 'not known any more who decided it',
};

// Room between card and token, and card and window, in pixels.
const GAP = 6;

let closePinned = null;

// `controls` is {step(by), close()} of a card that stays, or null.
export function showCard(token, anchor, controls) {
  closePinned = controls?.close ?? null;
  const card = byId('token-card');
  const hadFocus = card.contains(document.activeElement) ?
      document.activeElement.dataset.action : '';
  card.replaceChildren(
      element('p', {class: 'card-token'}, visible(token.text)),
      element('p', {class: `card-mark ${token.mark}`}, MARK_WORDS[token.mark]),
      alternativesOf(token), controls ? buttons(controls) : '');
  card.hidden = false;
  card.classList.toggle('pinned', controls !== null);
  place(card, anchor);
  if (hadFocus) card.querySelector(`[data-action=${hadFocus}]`)?.focus();
}

export function hideCard() {
  closePinned = null;
  byId('token-card').hidden = true;
}

// Closes a card that stays; whether there was one.
export function closeCard() {
  const close = closePinned;
  close?.();
  return close !== null;
}

// The card in one sentence, for screen readers.
export function tokenSummary(token) {
  const parts = [visible(token.text), MARK_WORDS[token.mark]];
  if (token.logprob !== null) {
    parts.push(`probability ${probability(token.logprob)}`);
    const others = token.alternatives.filter(
        (alternative) => !isChosen(alternative, token));
    if (others.length > 0) {
      parts.push('instead of ' + others.map(
          ({text, logprob}) => `${visible(text)} ${probability(logprob)}`)
          .join(', '));
    }
  }
  return parts.join('; ');
}

function probability(logprob) {
  return percent(Math.exp(logprob));
}

function isChosen(alternative, token) {
  return alternative.text === token.text;
}

function alternativesOf(token) {
  if (token.logprob === null) {
    return element('p', {class: 'note'},
                   'No alternatives were asked for (see Options).');
  }
  const rows = token.alternatives.slice();
  if (!rows.some((row) => isChosen(row, token))) {
    rows.push({text: token.text, logprob: token.logprob});
  }
  return element(
      'div', {},
      element('ul', {class: 'alternatives'},
              ...rows.map((row) => alternativeRow(row, isChosen(row, token)))),
      element('p', {class: 'note'},
              'By the raw logits, before temperature and penalties.'));
}

function alternativeRow({text, logprob}, chosen) {
  const bar = element('span', {class: 'bar'});
  bar.style.inlineSize = `${Math.exp(logprob) * 100}%`;
  return element(
      'li', {class: chosen ? 'chosen' : null},
      element('span', {class: 'alternative-text'}, visible(text),
              chosen ? element('span', {class: 'chosen-word'}, ' taken') : ''),
      element('span', {class: 'track', 'aria-hidden': 'true'}, bar),
      element('span', {class: 'number'}, probability(logprob)));
}

function buttons({step, close}) {
  const button = (action, label, onclick) => element('button', {
    type: 'button', class: 'small', 'data-action': action, onclick,
  }, label);
  return element('p', {class: 'buttons'},
                 button('previous', 'Previous', () => step(-1)),
                 button('next', 'Next', () => step(1)),
                 button('close', 'Close', close));
}

// Below the token's first line, above where there is no room below.
function place(card, anchor) {
  const at = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
  const width = document.body.clientWidth;
  const left = Math.max(GAP, Math.min(at.left, width - card.offsetWidth - GAP));
  const below = at.bottom + GAP;
  const fits = below + card.offsetHeight <= window.innerHeight ||
      at.top < card.offsetHeight + GAP;
  const top = fits ? below : at.top - card.offsetHeight - GAP;
  card.style.left = `${left + window.scrollX}px`;
  card.style.top = `${top + window.scrollY}px`;
}
