// Server-sent events out of pieces of text, as the WHATWG HTML standard reads
// them (section 9.2.6, "Interpreting an event stream"). The browser's own
// EventSource can neither POST nor send an Authorization header.

// Longest unfinished event: far above what a gateway sends (a message of the
// service has at most 4 MiB), and a bound for a server that never ends a line.
const EVENT_CHARS_MAX = 8 << 20;

export class SseParser {
  #line = '';
  #data = [];
  #event = '';
  #id = '';
  #afterReturn = false;
  #started = false;

  // The events that `text`, the next piece of the stream, completes; each is
  // {event, data, id}, where `id` is the last that the stream has named.
  push(text) {
    if (!this.#started && text !== '') {
      this.#started = true;
      text = text.replace(/^\uFEFF/, '');
    }
    // A line that ended with "\r" in the last piece may go on with its "\n".
    if (this.#afterReturn && text !== '') {
      this.#afterReturn = false;
      if (text.startsWith('\n')) text = text.slice(1);
    }
    if (text.endsWith('\r')) this.#afterReturn = true;
    const lines = (this.#line + text).split(/\r\n|\n|\r/);
    this.#line = lines.pop();
    const events = [];
    for (const line of lines) {
      const event = this.#take(line);
      if (event) events.push(event);
    }
    this.#checkSize();
    return events;
  }

  #take(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;  // a comment
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    if (field === 'event') this.#event = value;
    if (field === 'id' && !value.includes('\0')) this.#id = value;
    return null;
  }

  #dispatch() {
    const data = this.#data;
    const event = this.#event || 'message';
    this.#data = [];
    this.#event = '';
    if (data.length === 0) return null;
    return {event, data: data.join('\n'), id: this.#id};
  }

  #checkSize() {
    const held = this.#data.reduce((sum, line) => sum + line.length,
                                   this.#line.length);
    if (held > EVENT_CHARS_MAX) {
      throw new Error(`an event is longer than ${EVENT_CHARS_MAX} characters`);
    }
  }
}
