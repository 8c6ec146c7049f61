// What went wrong, as a sentence, and what helps.

// Remedies by tandem's reason (services/README.md, "Reasons") in lower case.
const REMEDIES = {
  invalid_options: 'Set the option that the message names within its range.',
  invalid_text: 'Send text in UTF-8.',
  empty_prompt: 'Write a prompt first.',
  context_exceeded: 'Shorten the prompt, lower max tokens, or start a new ' +
      'chat.',
  unknown_model: 'Choose another model under Options.',
  unsupported_chat_template:
      'This model has no chat format that can be used: use the playground.',
  unknown_session: 'Send the prompt again.',
  wrong_state: 'Send the prompt again.',
  no_token: 'The options ban every token: set them back under Options.',
  no_worker: 'See under "Server" what there is, and start a target worker if ' +
      'there is none.',
  invalid_key: 'Enter a valid API key under Options.',
  missing_scope: 'Use an API key that has this scope.',
  numeric_corruption: 'The server computed no numbers. Tell its operator.',
  unreachable: 'See that tandem-gateway runs and that this address is right, ' +
      'then try again.',
  lost: 'The text up to here stays. Send the prompt again.',
  gone: 'The server keeps a turn for 30 seconds. The text up to here stays; ' +
      'send the prompt again.',
};

const STATUS_REMEDIES = {
  401: REMEDIES.invalid_key,
  403: REMEDIES.missing_scope,
};

// What passes by itself, by status and, in a stream, by reason.
const PASSING = new Set([429, 502, 503, 504, 'exhausted', 'draining',
                         'unavailable']);

export class Problem extends Error {
  // `message` is made a sentence. `status` is HTTP's, 0 where there was no
  // answer; retryAfterSeconds is the server's, or 0.
  constructor({message, code = '', status = 0, retryAfterSeconds = 0}) {
    super(sentence(message));
    this.code = code;
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
    this.remedy = remedy(this);
  }
}

function remedy({code, status, retryAfterSeconds: seconds}) {
  const what = REMEDIES[code] ?? STATUS_REMEDIES[status] ?? '';
  const when = seconds > 0 ?
      `Try again in ${seconds} second${seconds === 1 ? '' : 's'}.` :
      PASSING.has(status) || PASSING.has(code) ? 'Try again in a moment.' : '';
  return [what, when].filter(Boolean).join(' ');
}

// First letter in upper case, unless it is that of a field's name (top_k,
// messages[0].role); a full stop at the end.
export function sentence(text) {
  const trimmed = String(text).trim();
  if (trimmed === '') return 'The server gave no reason.';
  const first = /^\w*[_.[]\w/.test(trimmed) ? trimmed :
      trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

// Of an OpenAI error object, from an answer's body or a stream.
export function problemOf(error, status = 0, retryAfterSeconds = 0) {
  return new Problem({
    message: error.message ?? '', code: String(error.code ?? ''), status,
    retryAfterSeconds,
  });
}

// Of an answer that is not 2xx.
export async function problemOfResponse(response) {
  const retryAfter = Number(response.headers.get('Retry-After')) || 0;
  try {
    const body = await response.json();
    return problemOf(body.error ?? {}, response.status, Math.ceil(retryAfter));
  } catch {
    return new Problem({
      message: `the server answered with status ${response.status}`,
      status: response.status, retryAfterSeconds: Math.ceil(retryAfter),
    });
  }
}

// Of anything that was thrown.
export function asProblem(thrown) {
  if (thrown instanceof Problem) return thrown;
  const why = thrown?.message ?? thrown;
  return new Problem({message: `the page failed: ${why}`});
}
