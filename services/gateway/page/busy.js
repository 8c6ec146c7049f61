// One thing at a time in a view: its start button, its stop button, and what
// Esc stops.

export class Busy {
  #start;
  #stop;
  #replies = [];

  constructor(start, stop) {
    this.#start = start;
    this.#stop = stop;
    stop.addEventListener('click', () => this.stop());
  }

  get active() {
    return this.#replies.length > 0;
  }

  // Runs `work`, in which `replies` may stream.
  async during(replies, work) {
    this.#replies = replies;
    this.#show();
    try {
      await work();
    } finally {
      this.#replies = [];
      this.#show();
    }
  }

  stop() {
    this.#replies.forEach((reply) => reply.stop());
  }

  // The start button is not disabled: who presses it by keyboard would lose the
  // focus.
  #show() {
    const hadFocus = document.activeElement === this.#stop;
    this.#start.setAttribute('aria-disabled', String(this.active));
    this.#stop.hidden = !this.active;
    if (hadFocus && !this.active) this.#start.focus();
  }
}
