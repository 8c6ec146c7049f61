// The panel of options: model, sliders, seed, drafts, alternatives, API key.

import {byId, element} from './dom.js';
import {ALTERNATIVES_MAX, SLIDERS, seedProblem} from './options.js';

// Where the key is, if its owner wants it kept: until the tab is closed.
const KEY_PLACE = 'tandem.api_key';

export class OptionsView {
  #sliders = new Map();  // by name: {spec, range, number}
  #api;

  // `onKey` is called when another API key was entered.
  constructor(api, onKey) {
    this.#api = api;
    for (const spec of SLIDERS) this.#addSlider(spec);
    byId('option-draft-automatic').addEventListener(
        'change', () => this.#showDraft());
    byId('option-draft-length').addEventListener(
        'input', () => this.#showDraft());
    byId('option-seed').addEventListener('input', () => this.#checkSeed());
    byId('options-back').addEventListener('click', () => this.#setBack());
    this.#showDraft();
    this.#openKey(onKey);
  }

  // {model, sliders, seed, draftLength, alternatives} as options.js has them;
  // null where one is wrong, which then has the focus.
  read() {
    if (!this.#checkSeed()) {
      byId('options').open = true;
      byId('option-seed').focus();
      return null;
    }
    return {
      model: byId('option-model').value,
      sliders: Object.fromEntries([...this.#sliders].map(
          ([name, {range}]) => [name, Number(range.value)])),
      seed: byId('option-seed').value.trim(),
      draftLength: byId('option-draft-automatic').checked ?
          null : Number(byId('option-draft-length').value),
      alternatives: Math.min(ALTERNATIVES_MAX, Math.max(
          0, Math.trunc(Number(byId('option-alternatives').value)))),
    };
  }

  get systemMessage() {
    return byId('option-system').value.trim();
  }

  // Model ids; the chosen one stays where it is still there.
  setModels(ids) {
    const select = byId('option-model');
    const chosen = select.value;
    select.replaceChildren(...ids.map((id) => element('option', {}, id)));
    if (ids.includes(chosen)) select.value = chosen;
  }

  // The server's own defaults, by the names of the sliders.
  setDefaults(defaults) {
    for (const [name, {spec, range, number}] of this.#sliders) {
      const value = rounded(Number(defaults?.[name]));
      if (spec.own || !(value >= spec.min && value <= spec.max)) continue;
      const untouched = Number(range.value) === spec.value;
      spec.value = value;
      if (untouched) range.value = number.value = value;
    }
  }

  showKey() {
    byId('options').open = true;
    byId('option-key').focus();
  }

  #addSlider(spec) {
    const id = `option-${spec.name}`;
    const limits = {min: spec.min, max: spec.max, step: spec.step};
    const range = element('input', {
      id, type: 'range', ...limits, value: spec.value,
      'aria-describedby': `${id}-hint`,
    });
    const number = element('input', {
      type: 'number', ...limits, value: spec.value, class: 'number',
      'aria-label': `${spec.label}, as a number`,
    });
    range.addEventListener('input', () => {
      number.value = range.value;
    });
    // The slider rounds to its steps and keeps its range.
    number.addEventListener('change', () => {
      if (number.value !== '') range.value = number.value;
      number.value = range.value;
    });
    this.#sliders.set(spec.name, {spec: {...spec}, range, number});
    byId('options-sliders').append(element(
        'div', {class: 'option'},
        element('label', {for: id}, spec.label), number, range,
        element('p', {class: 'note', id: `${id}-hint`}, spec.hint)));
  }

  #checkSeed() {
    const input = byId('option-seed');
    const problem = seedProblem(input.value);
    byId('option-seed-problem').textContent = problem;
    input.setAttribute('aria-invalid', String(problem !== ''));
    return problem === '';
  }

  #showDraft() {
    const automatic = byId('option-draft-automatic').checked;
    const slider = byId('option-draft-length');
    slider.disabled = automatic;
    const text = automatic ? 'automatic' :
        slider.value === '0' ? '0: no drafts' : `${slider.value} tokens`;
    slider.setAttribute('aria-valuetext', text);
    byId('option-draft-value').textContent = text;
  }

  #setBack() {
    for (const {spec, range, number} of this.#sliders.values()) {
      range.value = number.value = spec.value;
    }
    byId('option-seed').value = '';
    byId('option-draft-automatic').checked = true;
    this.#checkSeed();
    this.#showDraft();
  }

  #openKey(onKey) {
    const key = byId('option-key');
    const keep = byId('option-key-keep');
    key.value = sessionStorage.getItem(KEY_PLACE) ?? '';
    keep.checked = key.value !== '';
    this.#api.key = key.value;
    const store = () => {
      if (keep.checked && key.value !== '') {
        sessionStorage.setItem(KEY_PLACE, key.value);
      } else {
        sessionStorage.removeItem(KEY_PLACE);
      }
    };
    keep.addEventListener('change', store);
    key.addEventListener('change', () => {
      key.value = key.value.trim();
      this.#api.key = key.value;
      store();
      onKey();
    });
  }
}

// Defaults are floats on the wire: 0.699999988 is 0.7.
function rounded(value) {
  return Number(value.toPrecision(6));
}
