// The same request with the same seed again, and whether the texts are equal.

import {announce, element} from './dom.js';
import {compareRuns, equalitySentence} from './figures.js';
import {withSeed} from './options.js';
import {Reply} from './reply.js';

// Offers to replay `original`, which has run `request` to its end. The draft
// length is the one that `options` has when it is asked for: drafts change the
// speed only, and this shows it.
export function offerReplay({api, busy, options, original, request}) {
  original.addAction('Replay with the same seed', () => {
    const chosen = busy.active ? null : options.read();
    if (chosen) replay({api, busy, original, request, chosen});
  });
}

async function replay({api, busy, original, request, chosen}) {
  const seed = original.started.seed;
  const again = new Reply(`Replay, seed ${seed}, draft length ` +
                          `${chosen.draftLength ?? 'automatic'}`);
  const verdict = element('p', {class: 'verdict', hidden: true});
  original.element.querySelector('.replay')?.remove();
  original.element.append(
      element('div', {class: 'replay'}, again.element, verdict));
  await busy.during([again], () => again.run(
      api, withSeed(request, seed, {draft_length: chosen.draftLength})));
  if (again.problem) return;
  verdict.textContent = verdictOf(original, again);
  verdict.hidden = false;
  announce(verdict.textContent);
}

// Whether two answers to one request with one seed are equal; of one that was
// stopped, what both have.
export function verdictOf(left, right) {
  const partly = left.stopped || right.stopped;
  const length = partly ?
      Math.min(left.tokens.length, right.tokens.length) : Infinity;
  const result = compareRuns(left.tokens.slice(0, length),
                             right.tokens.slice(0, length));
  const models = left.started?.fingerprint === right.started?.fingerprint ? '' :
      ' The model has changed in between: the fingerprints differ.';
  return equalitySentence(result, partly) + models;
}
