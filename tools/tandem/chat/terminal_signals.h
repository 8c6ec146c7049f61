// Signals of a chat at a terminal, as events of its own thread: Ctrl-C means
// one thing at the prompt and another during a reply, and comes many times.
// While this stands, the signals are blocked in its maker's thread and in
// threads that are started later: make it before the threads of channels. One
// thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_TERMINAL_SIGNALS_H_
#define TANDEM_TOOLS_TANDEM_CHAT_TERMINAL_SIGNALS_H_

#include <signal.h>

#include <vector>

#include "engine/base/descriptor.h"

namespace tandem::cli {

class TerminalSignals {
 public:
  // Takes SIGINT, SIGTERM, SIGWINCH and SIGCONT.
  TerminalSignals();
  ~TerminalSignals();

  TerminalSignals(const TerminalSignals&) = delete;
  TerminalSignals& operator=(const TerminalSignals&) = delete;

  // To poll: readable when a signal has come.
  int descriptor() const { return signals_.number(); }
  // The signals that came since the last call, each once.
  std::vector<int> Take();

 private:
  sigset_t mask_before_;
  Descriptor signals_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_TERMINAL_SIGNALS_H_
