// Sessions with an OpenAI-compatible server over HTTP, for comparison: each is
// a thread with a connection of its own. One turn a session: such servers keep
// no history.

#ifndef TANDEM_TOOLS_LOAD_OPENAI_TARGET_H_
#define TANDEM_TOOLS_LOAD_OPENAI_TARGET_H_

#include <memory>
#include <string>

#include "engine/base/status.h"
#include "tools/load/completion_events.h"
#include "tools/load/load_target.h"

namespace tandem::load {

// Sessions at once at most: each takes a thread.
inline constexpr int kOpenAiSessionsMax = 512;
// A server that is silent for longer fails the turn.
inline constexpr int kHttpSilenceSecondsMax = 300;
// Of an answer that is no stream of events.
inline constexpr size_t kErrorBodyBytesMax = 64 << 10;

class OpenAiTarget final : public LoadTarget {
 public:
  // `url` is "http://host:port". Errors: INVALID_ARGUMENT.
  static absl::StatusOr<std::unique_ptr<OpenAiTarget>> Create(
      const std::string& url, const CompletionOptions& options);

  // Tokens in the vocabulary, where /v1/models tells them (llama-server's
  // meta.n_vocab). Errors: UNAVAILABLE, NOT_FOUND where it does not.
  absl::StatusOr<int> AskVocabSize() const;

  std::unique_ptr<LoadSession> NewSession() override;

 private:
  OpenAiTarget(std::string url, CompletionOptions options)
      : url_(std::move(url)), options_(std::move(options)) {}

  const std::string url_;
  const CompletionOptions options_;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_OPENAI_TARGET_H_
