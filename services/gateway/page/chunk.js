// What one event of a stream says, in the page's own terms: the chunks of
// /v1/completions and /v1/chat/completions with what tandem adds to them.

// Who decided a token: a draft model proposed it and the target agreed, prompt
// lookup did, the target alone, or it is not known (after a resume).
export const MARKS = ['draft', 'lookup', 'own', 'unknown'];

// {text, tokens, rounds, finish, started, usage, speculation, error} of a
// chunk; what it does not say is null, or empty. A token is {id, text, mark, logprob,
// alternatives}; logprob is null where none was asked for.
export function readChunk(json) {
  const choice = json.choices?.[0];
  const extra = json.tandem ?? {};
  // What a model thinks before it answers is part of what it says.
  const text = (choice?.delta?.reasoning_content ?? '') +
      (choice?.delta?.content ?? choice?.text ?? '');
  const rounds = (extra.rounds ?? []).map(readRound);
  return {
    text,
    tokens: readTokens(text, extra.tokens ?? [], rounds,
                       readLogprobs(choice?.logprobs)),
    rounds,
    // tandem's reason says more than OpenAI's.
    finish: choice?.finish_reason ?
        extra.finish_reason ?? choice.finish_reason : null,
    started: extra.session_id === undefined ? null : readStarted(extra),
    usage: readUsage(json.usage ?? extra.usage),
    speculation: extra.speculation ? numbers(extra.speculation) : null,
    error: json.error ?? null,
  };
}

function readRound(round) {
  return {
    drafted: Number(round.drafted ?? 0),
    accepted: Number(round.accepted ?? 0),
    tokens: Number(round.tokens ?? 0),
    lookup: Boolean(round.lookup),
  };
}

function readStarted(extra) {
  return {
    sessionId: extra.session_id,
    turn: Number(extra.turn),
    seed: String(extra.seed),
    fingerprint: extra.fingerprint ?? '',
    promptTokens: Number(extra.prompt_tokens ?? 0),
  };
}

function readUsage(usage) {
  if (!usage) return null;
  return {
    prompt: Number(usage.prompt_tokens ?? 0),
    generated: Number(usage.completion_tokens ?? usage.generated_tokens ?? 0),
    cached: Number(usage.prompt_tokens_details?.cached_tokens ??
                   usage.cached_prompt_tokens ?? 0),
  };
}

// Counts as numbers: JSON made from protobuf has 64-bit ones as strings.
function numbers(fields) {
  return Object.fromEntries(Object.entries(fields).map(
      ([name, value]) =>
          [name, typeof value === 'string' && /^-?\d+$/.test(value) ?
                     Number(value) : value]));
}

// Text stands at its tokens where these say so; where they do not add up to
// `text` (held back for an unfinished character or a stop string), all of it
// stands at the last of them.
function readTokens(text, tokens, rounds, logprobs) {
  const marks = readMarks(tokens, rounds);
  const addUp = tokens.map((token) => token.text ?? '').join('') === text;
  return tokens.map((token, index) => ({
    id: Number(token.id),
    text: addUp ? token.text ?? '' : index === tokens.length - 1 ? text : '',
    mark: marks[index],
    logprob: logprobs[index]?.logprob ?? null,
    alternatives: logprobs[index]?.alternatives ?? [],
  }));
}

function readMarks(tokens, rounds) {
  const known = rounds.reduce((sum, round) => sum + round.tokens, 0);
  const lookups = known === tokens.length ?
      rounds.flatMap((round) => Array(round.tokens).fill(round.lookup)) : [];
  return tokens.map((token, index) => {
    if (typeof token.drafted !== 'boolean') return 'unknown';
    if (!token.drafted) return 'own';
    return lookups[index] ? 'lookup' : 'draft';
  });
}

// One {logprob, alternatives: [{text, logprob}]} per token, of the form of
// chats or of that of completions.
function readLogprobs(logprobs) {
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map((entry) => ({
      logprob: entry.logprob,
      alternatives: (entry.top_logprobs ?? []).map(
          ({token, logprob}) => ({text: token, logprob})),
    }));
  }
  return (logprobs.token_logprobs ?? []).map((logprob, index) => ({
    logprob,
    alternatives: Object.entries(logprobs.top_logprobs?.[index] ?? {})
        .map(([text, value]) => ({text, logprob: value}))
        .sort((a, b) => b.logprob - a.logprob),
  }));
}
