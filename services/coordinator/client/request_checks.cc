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

}  // namespace

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

absl::Status MalformedMessage() {
  return InvalidArgument(
      kReasonInvalidText,
      "the message does not parse: a text in it is not UTF-8, or "
      "it is not protobuf");
}

}  // namespace tandem
