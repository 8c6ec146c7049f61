// Figures of a turn: how fast, how many drafted tokens were accepted, and
// whether two texts are equal. Pure functions, and one class that counts.

// What the events of a turn add up to so far. Times are the browser's, in
// milliseconds of one monotonic clock.
export class LiveFigures {
  #now;
  #firstMs = null;
  #lastMs = null;
  #firstTokens = 0;

  // `now` gives the time in milliseconds.
  constructor(now) {
    this.#now = now;
    this.tokens = 0;
    this.rounds = 0;
    this.proposed = 0;
    this.accepted = 0;
    this.corrected = 0;
  }

  add(chunk) {
    for (const round of chunk.rounds) {
      this.rounds += 1;
      this.proposed += round.drafted;
      this.accepted += round.accepted;
      this.corrected += round.accepted < round.drafted ? 1 : 0;
    }
    if (chunk.tokens.length === 0) return;
    this.tokens += chunk.tokens.length;
    this.#lastMs = this.#now();
    if (this.#firstMs === null) {
      this.#firstMs = this.#lastMs;
      this.#firstTokens = chunk.tokens.length;
    }
  }

  // Tokens per second after the first event, as they came here; null while it
  // is not known.
  get rate() {
    const tokens = this.tokens - this.#firstTokens;
    const ms = this.#lastMs - this.#firstMs;
    return tokens > 0 && ms > 0 ? tokens * 1000 / ms : null;
  }
}

// The server's figures at the end of a turn, from SpeculationStats and usage.
// Each is null where it is not known.
export function finalFigures(speculation, usage) {
  const tokens = usage?.generated ?? null;
  const us = speculation.total_us - speculation.first_token_us;
  return {
    tokens,
    rate: tokens > 1 && us > 0 ? (tokens - 1) * 1e6 / us : null,
    firstTokenMs: speculation.first_token_us / 1000,
    proposed: speculation.drafted_tokens,
    accepted: speculation.accepted_tokens,
    acceptance: speculation.drafted_tokens > 0 ?
        speculation.accepted_tokens / speculation.drafted_tokens : null,
    tokensPerRound: tokens !== null && speculation.rounds > 0 ?
        tokens / speculation.rounds : null,
    noDraft: speculation.drafted_tokens > 0 ? '' :
        noDraftSentence(speculation.no_draft_reason),
  };
}

const NO_DRAFT_SENTENCES = {
  off: 'Nothing was drafted: the draft length is 0.',
  no_room: 'Nothing was drafted: there was room for one token only.',
  no_draft_worker: 'Nothing was drafted: no draft worker fits this model.',
  no_match: 'Nothing was drafted: prompt lookup found no match.',
  does_not_pay: 'Nothing was drafted: by what was measured, no draft ' +
      'promised more tokens per second.',
  late: 'Nothing was drafted: the draft worker answered too late.',
};

// Why nothing was drafted; "" where the server does not say. Takes the name of
// the enum's value with or without its prefix.
export function noDraftSentence(reason) {
  const name = String(reason ?? '').toLowerCase()
      .replace(/^no_draft_reason_/, '');
  return NO_DRAFT_SENTENCES[name] ?? '';
}

// Where two runs differ first: {equal, at, compared}; `at` is the index of the
// first token that differs, `compared` the number of equal tokens before it.
// A run that is shorter differs at its end.
export function compareRuns(left, right) {
  const shorter = Math.min(left.length, right.length);
  let at = 0;
  while (at < shorter && left[at].id === right[at].id &&
         left[at].text === right[at].text) {
    at += 1;
  }
  const equal = at === left.length && at === right.length;
  return {equal, at, compared: at};
}

// The sentence of a finished comparison; `partly` where one of the runs was
// stopped, so that only what both have was compared.
export function equalitySentence({equal, at, compared}, partly = false) {
  if (equal) {
    return `Same seed, same text: all ${counted(compared, 'token')} ` +
        `${partly ? 'that both have ' : ''}are equal.`;
  }
  if (at === 0) return 'The texts differ from their first token on.';
  const are = compared === 1 ? 'is' : 'are';
  return `The texts differ from token ${at + 1} on; ` +
      `${counted(compared, 'token')} before it ${are} equal.`;
}

// What a race showed; rates in tokens per second, null where not known.
export function raceSentence(without, withDrafts) {
  if (!without || !withDrafts) return 'The runs were too short to compare.';
  const ratio = withDrafts / without;
  if (ratio >= 1.02) {
    return `With drafts: ${fixed(ratio, 2)} times as many tokens per second.`;
  }
  if (ratio > 0.98) return 'With drafts: as fast as without them, within 2%.';
  return `Drafts did not pay here: ${fixed(ratio, 2)} times the tokens per ` +
      'second.';
}

// "1 token", "2 tokens".
export function counted(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

export function fixed(number, digits) {
  return number.toLocaleString(
      'en', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

// Three significant digits at most, never an exponent: 0.123, 12.3, 1,230.
export function short(number) {
  return number.toLocaleString('en', number < 1000 ?
      {maximumSignificantDigits: 3} : {maximumFractionDigits: 0});
}

export function percent(share) {
  return `${fixed(share * 100, share > 0 && share < 0.1 ? 1 : 0)}%`;
}

// 59 s, 3 min 20 s, 5 h 10 min, 12 d 3 h.
export function duration(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return '0 s';
  let rest = Math.floor(seconds);
  return units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? `${count} ${name}` : '';
  }).filter(Boolean).join(' ');
}

// A token's text with what can not be seen made visible.
export function visible(text) {
  if (text === '') return '(part of a character)';
  return text.replace(/\n/g, '\\n').replace(/\r/g, '\\r').replace(/\t/g, '\\t')
      .replace(/ /g, '\u2423');
}
