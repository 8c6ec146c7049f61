#include "services/coordinator/client/request_checks.h"

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"
#include "services/coordinator/client/prompt.h"

namespace tandem {

absl::Status PrefixFields(const absl::Status& status,
                          absl::string_view prefix) {
  std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value() || detail->violations.empty()) return status;
  for (FieldViolation& violation : detail->violations) {
    violation.field = absl::StrCat(prefix, violation.field);
  }
  return MakeError(status.code(), *detail, status.message());
}

absl::Status CheckTurnRequest(const v1::TurnRequest& turn) {
  if (turn.timeout_ms() < 0 || turn.timeout_ms() > kTimeoutMsMax) {
    return InvalidField("timeout_ms",
                        absl::StrCat("must be in [0, ", kTimeoutMsMax, "], is ",
                                     turn.timeout_ms()));
  }
  if (turn.prompt_case() == v1::TurnRequest::PROMPT_NOT_SET) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     {.reason = kReasonEmptyPrompt,
                      .violations = {{.field = "prompt",
                                      .description = "must be set: text, "
                                                     "tokens or messages"}}},
                     "the turn has no prompt: set text, tokens or messages");
  }
  if (turn.parse_special() && !turn.has_text()) {
    return InvalidField("parse_special", "goes with text only");
  }
  if (turn.has_messages()) return ParseChat(turn).status();
  if (!turn.template_options().empty()) {
    return InvalidField("template_options", "goes with messages only");
  }
  return absl::OkStatus();
}

absl::StatusOr<GenOptions> ParseOptions(const v1::GenerationOptions& options,
                                        int vocab_size) {
  absl::StatusOr<GenOptions> parsed = ParseGenOptions(options, vocab_size);
  if (!parsed.ok()) return PrefixFields(parsed.status(), "options.");
  if (!parsed->seed.has_value()) parsed->seed = DrawSeed();
  return parsed;
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
