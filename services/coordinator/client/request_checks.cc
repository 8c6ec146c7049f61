#include "services/coordinator/client/request_checks.h"

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"
#include "services/coordinator/client/background_queue.h"

namespace tandem {
namespace {

bool IsCharacterStart(const std::string& text, size_t index) {
  return index == text.size() ||
         (static_cast<unsigned char>(text[index]) & 0xC0) != 0x80;
}

// Tokens of the turn's prompt that its client gets log-probabilities of.
int64_t ScoredPromptTokens(const TurnRunner& runner) {
  const std::optional<PromptLogprobs>& asked = runner.setup().prompt_logprobs;
  const Turn& turn = runner.turn();
  if (!asked.has_value()) return 0;
  return static_cast<int64_t>(turn.session_tokens().size() -
                              turn.generated().size()) -
         asked->first;
}

}  // namespace

absl::StatusOr<TurnInput> ParseTurnInput(v1::TurnRequest* turn) {
  TurnInput input;
  TANDEM_ASSIGN_OR_RETURN(input.timeout, ParseTimeout(turn->timeout_ms()));
  TANDEM_ASSIGN_OR_RETURN(input.go_on, ParseGoOn(*turn));
  input.split = ParseSplitRules(*turn);
  TANDEM_ASSIGN_OR_RETURN(input.prompt_logprobs, ParsePromptLogprobs(*turn));
  TANDEM_ASSIGN_OR_RETURN(input.prompt, ParsePrompt(turn));
  return input;
}

absl::Status FitToModel(const v1::TurnRequest& turn, const Session* session,
                        TurnInput* input) {
  const ModelSummary& model = input->model;
  TANDEM_ASSIGN_OR_RETURN(input->forked, ForkedHistory(turn, session));
  TANDEM_ASSIGN_OR_RETURN(input->options,
                          ParseOptions(turn.options(), model.vocab_size));
  TANDEM_RETURN_IF_ERROR(CheckPrompt(input->prompt, *model.tokenizer));
  TANDEM_RETURN_IF_ERROR(CheckTools(input->prompt, model.reply_format.get()));
  size_t before = input->forked.size();
  if (before == 0 && session != nullptr) before = session->History().size();
  return CheckPromptRoom(input->prompt,
                         {.tokens_before = static_cast<int64_t>(before),
                          .context_max = model.context_largest,
                          .token_bytes_max = model.token_bytes_max});
}

TurnSpec SpecOf(const TurnInput& input, absl::Span<const TokenId> history,
                EncodedPrompt* prompt) {
  TurnSpec spec{.options = input.options, .grammar = prompt->grammar};
  spec.options.response_format = std::move(prompt->response_format);
  spec.prompt.assign(history.begin(), history.end());
  prompt->ids.insert(prompt->ids.begin(), input.forked.begin(),
                     input.forked.end());
  spec.prompt.insert(spec.prompt.end(), prompt->ids.begin(), prompt->ids.end());
  return spec;
}

void SetRequested(const TurnInput& input, const EncodedPrompt& prompt,
                  TurnSetup* setup) {
  setup->tokenizer = input.model.tokenizer;
  setup->template_date = prompt.template_date;
  setup->timeout = input.timeout;
  setup->go_on = input.go_on;
  if (IsSplit(input)) {
    setup->reply_split = {.format = input.model.reply_format,
                          .has_tools = HasTools(input.prompt),
                          .starts_in_reasoning = prompt.starts_in_reasoning};
  }
  if (input.prompt_logprobs.has_value()) {
    setup->prompt_logprobs = {
        .alternatives = *input.prompt_logprobs,
        .first = static_cast<Position>(setup->spec.prompt.size() -
                                       prompt.ids.size())};
  }
}

absl::Status PrefixFields(const absl::Status& status,
                          absl::string_view prefix) {
  std::optional<ErrorDetail> detail = GetErrorDetail(status);
  // A quota's violation names no field.
  if (!detail.has_value() || detail->violations.empty() ||
      absl::IsResourceExhausted(status)) {
    return status;
  }
  for (FieldViolation& violation : detail->violations) {
    violation.field = absl::StrCat(prefix, violation.field);
  }
  return MakeError(status.code(), *detail, status.message());
}

absl::StatusOr<std::optional<MonotonicDuration>> ParseTimeout(
    int64_t timeout_ms) {
  if (timeout_ms < 0 || timeout_ms > kTimeoutMsMax) {
    return InvalidField(
        "timeout_ms",
        absl::StrCat("must be in [0, ", kTimeoutMsMax, "], is ", timeout_ms));
  }
  std::optional<MonotonicDuration> timeout;
  if (timeout_ms > 0) timeout = std::chrono::milliseconds(timeout_ms);
  return timeout;
}

absl::StatusOr<MonotonicDuration> ParseGoOn(const v1::TurnRequest& turn) {
  if (!v1::OnDisconnect_IsValid(turn.on_disconnect())) {
    return InvalidField("on_disconnect",
                        absl::StrCat("must be a value of OnDisconnect, is ",
                                     static_cast<int>(turn.on_disconnect())));
  }
  const int64_t go_on_ms = turn.go_on_ms();
  if (go_on_ms < 0 || go_on_ms > kGoOnMsMax) {
    return InvalidField("go_on_ms", absl::StrCat("must be in [0, ", kGoOnMsMax,
                                                 "], is ", go_on_ms));
  }
  if (turn.on_disconnect() != v1::ON_DISCONNECT_GO_ON) {
    if (go_on_ms == 0) return MonotonicDuration::zero();
    return InvalidField("go_on_ms",
                        "needs on_disconnect to be ON_DISCONNECT_GO_ON");
  }
  return std::chrono::milliseconds(go_on_ms == 0 ? kGoOnMsDefault : go_on_ms);
}

absl::StatusOr<std::optional<int>> ParsePromptLogprobs(
    const v1::TurnRequest& turn) {
  std::optional<int> alternatives;
  if (!turn.has_prompt_logprobs()) return alternatives;
  if (turn.prompt_logprobs() < 0 || turn.prompt_logprobs() > kLogprobsLimit) {
    return InvalidField("prompt_logprobs",
                        absl::StrCat("must be in [0, ", kLogprobsLimit,
                                     "], is ", turn.prompt_logprobs()));
  }
  alternatives = turn.prompt_logprobs();
  return alternatives;
}

absl::StatusOr<GenOptions> ParseOptions(const v1::GenerationOptions& options,
                                        int vocab_size) {
  absl::StatusOr<GenOptions> parsed = ParseGenOptions(options, vocab_size);
  if (!parsed.ok()) return PrefixFields(parsed.status(), "options.");
  if (!parsed->seed.has_value()) parsed->seed = DrawSeed();
  return parsed;
}

absl::StatusOr<std::shared_ptr<const TokenMasks>> CompileOptions(
    const GenOptions& options, const Tokenizer& tokenizer) {
  absl::StatusOr<std::shared_ptr<const TokenMasks>> compiled =
      CompileResponseFormat(tokenizer, options);
  if (!compiled.ok()) return PrefixFields(compiled.status(), "options.");
  return compiled;
}

int64_t CompileBytes(const GenOptions& options) {
  if (!options.response_format.has_value()) return 0;
  return static_cast<int64_t>(BytesOf(*options.response_format)) +
         BackgroundQueue::kShortBytes;
}

absl::Status CheckResume(const v1::ResumeRequest& resume, const Turn& turn) {
  const int64_t generated = turn.usage().generated_tokens;
  if (resume.tokens_received() < 0 || resume.tokens_received() > generated) {
    return InvalidField(
        "tokens_received",
        absl::StrCat("must be in [0, ", generated, "], the tokens sent, is ",
                     resume.tokens_received()));
  }
  const std::string& text = turn.text();
  const int64_t bytes = resume.text_bytes_received();
  if (bytes < 0 || bytes > static_cast<int64_t>(text.size()) ||
      !IsCharacterStart(text, static_cast<size_t>(bytes))) {
    return InvalidField(
        "text_bytes_received",
        absl::StrCat("must be in [0, ", text.size(),
                     "], the bytes of text sent, and not inside a character, "
                     "is ",
                     bytes));
  }
  return absl::OkStatus();
}

std::optional<absl::Status> CheckResumeOf(const v1::ResumeRequest& resume,
                                          const TurnRunner& runner) {
  const Turn& turn = runner.turn();
  const int64_t scored = ScoredPromptTokens(runner);
  if (resume.prompt_tokens_received() < 0 ||
      resume.prompt_tokens_received() > scored) {
    return InvalidField("prompt_tokens_received",
                        absl::StrCat("must be in [0, ", scored,
                                     "], the tokens of the prompt that have "
                                     "log-probabilities, is ",
                                     resume.prompt_tokens_received()));
  }
  const bool may_follow =
      runner.is_restored() && runner.state() != TurnState::kEnded &&
      resume.tokens_received() > turn.usage().generated_tokens &&
      resume.tokens_received() <= turn.options().max_tokens &&
      resume.text_bytes_received() >= 0;
  if (may_follow) return std::nullopt;
  return CheckResume(resume, turn);
}

absl::Status CheckTokenIds(absl::Span<const int32_t> ids, int vocab_size,
                           const std::string& field) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      return InvalidField(
          absl::StrCat(field, "[", i, "]"),
          absl::StrCat("must be in [0, ", vocab_size - 1, "], is ", ids[i]),
          kReasonInvalidToken);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenId>> ForkedHistory(const v1::TurnRequest& turn,
                                                   const Session* session) {
  if (!turn.has_fork_tokens()) return std::vector<TokenId>();
  if (session == nullptr) {
    return InvalidField("fork_tokens", "goes with session_id only");
  }
  const absl::Span<const TokenId> history = session->History();
  const int64_t tokens = turn.fork_tokens();
  if (tokens < 1 || tokens > static_cast<int64_t>(history.size())) {
    return InvalidField("fork_tokens",
                        absl::StrCat("must be 1 to the session's ",
                                     history.size(), " tokens, is ", tokens));
  }
  return std::vector<TokenId>(history.begin(), history.begin() + tokens);
}

absl::Status MalformedMessage() {
  return InvalidArgument(
      kReasonInvalidText,
      "the message does not parse: a text in it is not UTF-8, or "
      "it is not protobuf");
}

}  // namespace tandem
