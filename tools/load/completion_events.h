// The events of a streamed /v1/completions answer as a load sees them. One
// object per turn, one thread.

#ifndef TANDEM_TOOLS_LOAD_COMPLETION_EVENTS_H_
#define TANDEM_TOOLS_LOAD_COMPLETION_EVENTS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "tools/load/load_target.h"

namespace tandem::load {

// The request's body: the prompt as ids, streamed, past the end-of-text tokens
// unless `stops_at_eos` (a field that llama-server and vLLM know).
struct CompletionOptions {
  std::string model;  // empty: not sent
  std::optional<float> temperature = {};
  std::optional<float> top_p = {};
  std::optional<int> top_k = {};
  bool stops_at_eos = false;
};
std::string CompletionBody(const LoadTurn& turn,
                           const CompletionOptions& options);

// The error that an answer of another HTTP status than 200 stands for, with the
// message of its body.
absl::Status CompletionError(int http_status, absl::string_view body);

class CompletionEvents {
 public:
  explicit CompletionEvents(TurnObserver* observer) : observer_(observer) {}

  // Takes the data of one event: "[DONE]" or an object. Tokens go to the
  // observer: as many as the event lists ids, else one where it has text.
  // Errors: INTERNAL where it is no JSON object, or as the error it tells.
  absl::Status Take(absl::string_view data);

  // What the turn came to, once the answer is over. A stream that ended without
  // "[DONE]" and without a finish reason is an INTERNAL error.
  TurnOutcome Outcome() const;

 private:
  TurnObserver* const observer_;
  bool is_done_ = false;
  int64_t tokens_seen_ = 0;
  std::optional<int64_t> tokens_told_;
  std::string finish_reason_;
  TurnFigures figures_;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_COMPLETION_EVENTS_H_
