// The options of a turn and the requests that are made of them.

// Those with a slider. Ranges are narrower than the service's where a slider
// needs an end. Values are replaced by the service's defaults
// (GenerationOptions), which the gateway's info has, but for `own` ones.
export const SLIDERS = [
  {
    name: 'max_tokens', label: 'Max tokens', min: 1, max: 2048, step: 1,
    // A race runs it twice: the service's own default, 512, is long to watch.
    value: 200, own: true, hint: 'The answer ends after this many tokens.',
  },
  {
    name: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05,
    value: 0.7, hint: '0 always takes the most probable token.',
  },
  {
    name: 'top_p', label: 'Top p', min: 0.01, max: 1, step: 0.01, value: 0.9,
    hint: 'Keeps the fewest tokens whose probabilities sum to this; 1 is off.',
  },
  {
    name: 'top_k', label: 'Top k', min: 0, max: 200, step: 1, value: 40,
    hint: 'Keeps this many of the most probable tokens; 0 is off.',
  },
  {
    name: 'repetition_penalty', label: 'Repetition penalty', min: 1, max: 2,
    step: 0.05, value: 1.1, hint: 'Above 1: words that were used become rarer.',
  },
];

export const DRAFT_LENGTH_MAX = 16;
export const ALTERNATIVES_MAX = 20;
// A seed travels as a number of JSON, which is exact below 2^53 only.
export const SEED_MAX = Number.MAX_SAFE_INTEGER;

// What is wrong with the text of a seed, or "". No text: the server draws one.
export function seedProblem(text) {
  if (text.trim() === '') return '';
  if (/^\d+$/.test(text.trim()) && Number(text) <= SEED_MAX) return '';
  return `The seed is a whole number from 0 to ${SEED_MAX}.`;
}

export function drawnSeed() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return String((high >>> 11) * 2 ** 32 + low);
}

// The request for /v1/chat/completions: `options` are {model, sliders by name,
// seed, draftLength, alternatives}. draftLength null is automatic; seed "" is
// drawn by the server; alternatives 0 asks for no log-probabilities.
export function chatRequest(messages, options) {
  return {
    path: '/v1/chat/completions',
    body: {
      ...common(options), messages,
      ...(options.alternatives > 0 ?
              {logprobs: true, top_logprobs: options.alternatives} : {}),
    },
  };
}

// The same for /v1/completions.
export function completionRequest(prompt, options) {
  return {
    path: '/v1/completions',
    body: {
      ...common(options), prompt,
      ...(options.alternatives > 0 ? {logprobs: options.alternatives} : {}),
    },
  };
}

function common({model, sliders, seed, draftLength}) {
  return {
    model, ...sliders, stream: true, stream_options: {include_usage: true},
    ...(seed === '' ? {} : {seed: Number(seed)}),
    tandem: {draft_length: draftLength, resumable: true},
  };
}

// The same request again with the seed that was drawn for it; `changes` are
// fields of its `tandem`, such as another draft_length.
export function withSeed({path, body}, seed, changes = {}) {
  return {
    path,
    body: {
      ...body, seed: Number(seed), tandem: {...body.tandem, ...changes},
    },
  };
}

// The same request without log-probabilities, for what is measured.
export function withoutLogprobs({path, body}) {
  const {logprobs, top_logprobs, ...rest} = body;
  return {path, body: rest};
}
