// What each field of a request is checked for, before any worker sees it. Pure
// functions; any thread.
//
// Errors name fields by their path in the request, e.g.
// "turn.options.temperature".

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_REQUEST_CHECKS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_REQUEST_CHECKS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/turn.h"
#include "engine/tokenizer/response_grammar.h"
#include "services/coordinator/client/prompt.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/client/split_reply.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

inline constexpr int64_t kTimeoutMsMax = 86400000;
// A client that has lost its connection is back within seconds; one whose
// machine restarts, within minutes. Longer a turn would compute for nobody.
inline constexpr int64_t kGoOnMsDefault = 30000;
inline constexpr int64_t kGoOnMsMax = 600000;

// A turn's request, parsed and checked. Model, options and forked are set by
// who knows the session.
struct TurnInput {
  std::optional<MonotonicDuration> timeout;
  MonotonicDuration go_on = {};
  PromptSource prompt;
  ModelSummary model;
  GenOptions options;
  SplitRules split;
  // Of the session that the turn forks; empty where it forks none.
  std::vector<TokenId> forked;
  // Alternatives to each token of the prompt; nothing: no log-probabilities.
  std::optional<int> prompt_logprobs;
};

// Takes out of the request what needs neither session nor model. Errors: those
// of the functions below, and of ParsePrompt.
absl::StatusOr<TurnInput> ParseTurnInput(v1::TurnRequest* turn);
// The rest, where input->model is set, and whether the model takes all of it.
// `session`: the one that the turn continues or forks; null for a new one.
// Errors: those of the functions below, CheckPrompt, CheckTools and
// CheckPromptRoom.
absl::Status FitToModel(const v1::TurnRequest& turn, const Session* session,
                        TurnInput* input);
// Whether the turn's client gets its reply in parts.
inline bool IsSplit(const TurnInput& input) {
  return input.split.is_split && input.model.reply_format != nullptr;
}

// What the turn's target runs after `history`. Puts the tokens that the turn
// forks before those of `prompt`, and takes its response format.
TurnSpec SpecOf(const TurnInput& input, absl::Span<const TokenId> history,
                EncodedPrompt* prompt);
// What the request asks of the turn beside its spec, which `setup` has.
void SetRequested(const TurnInput& input, const EncodedPrompt& prompt,
                  TurnSetup* setup);

// `status` with `prefix` before each of its fields; a quota's violations name
// none.
absl::Status PrefixFields(const absl::Status& status, absl::string_view prefix);

// How long a turn may take; nothing where `timeout_ms` is 0. INVALID_OPTIONS
// for what is negative or over kTimeoutMsMax.
absl::StatusOr<std::optional<MonotonicDuration>> ParseTimeout(
    int64_t timeout_ms);

// How long `turn` goes on without its client; 0: it waits. INVALID_OPTIONS for
// a value that OnDisconnect does not have, and for go_on_ms that is out of
// range or says nothing.
absl::StatusOr<MonotonicDuration> ParseGoOn(const v1::TurnRequest& turn);

// How many alternatives to each token of the prompt `turn` asks for; nothing
// where it asks for no log-probabilities of them. INVALID_OPTIONS for a number
// that is out of range.
absl::StatusOr<std::optional<int>> ParsePromptLogprobs(
    const v1::TurnRequest& turn);

// The options with a seed, or INVALID_OPTIONS with "options.*" fields.
absl::StatusOr<GenOptions> ParseOptions(const v1::GenerationOptions& options,
                                        int vocab_size);

// As CompileResponseFormat, with "options.*" fields.
absl::StatusOr<std::shared_ptr<const TokenMasks>> CompileOptions(
    const GenOptions& options, const Tokenizer& tokenizer);

// What compiling costs a helper thread, in bytes of text that take as long; 0
// without a format.
int64_t CompileBytes(const GenOptions& options);

// OK, or INVALID_OPTIONS where a client can not have as much of `turn` as
// `resume` says.
absl::Status CheckResume(const v1::ResumeRequest& resume, const Turn& turn);
// The same of a turn that another process may have driven before, and of its
// prompt's log-probabilities: nothing while that can not be known, since it has
// not made again what the client may have.
std::optional<absl::Status> CheckResumeOf(const v1::ResumeRequest& resume,
                                          const TurnRunner& runner);

// OK, or INVALID_TOKEN that names the first id that is out of range, as
// "FIELD[index]".
absl::Status CheckTokenIds(absl::Span<const int32_t> ids, int vocab_size,
                           const std::string& field);

// The first tokens of `session`, which `turn` asks for, that the new session
// begins with; none where the turn does not fork one. INVALID_OPTIONS for a
// number that the history does not have.
absl::StatusOr<std::vector<TokenId>> ForkedHistory(const v1::TurnRequest& turn,
                                                   const Session* session);

// The error of a message that does not parse: protobuf refuses texts that are
// not UTF-8 and does not say so.
absl::Status MalformedMessage();

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_REQUEST_CHECKS_H_
