#include "tools/tandem/base/service_terms.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "services/common/flag_values.h"

namespace tandem::cli {
namespace {

// Fields that are not named as their flags are.
constexpr std::pair<absl::string_view, absl::string_view> kNames[] = {
    {"stop_strings", "--stop"},
    {"stop_token_ids", "--stop-token"},
    {"choice", "--choice-index"},
    {"session_id", "--session"},
    {"parse_special", "--special"},
    {"text", "the prompt"},
    {"tokens", "the prompt"},
    {"prompt", "the prompt"},
    {"messages", "the prompt"},
    {"tool_name", "--tool-choice"},
    {"continuations", "continuation"},
    {"token_ids", "token id"},
    {"path", "the file"},
    {"template_options", "--template-option"},
    {"sha256", "--model-sha256"}};

// The same of the fields of response_format.
constexpr std::pair<absl::string_view, absl::string_view> kFormats[] = {
    {"json_schema", "--json-schema"},
    {"json_object", "--json-object"},
    {"regex", "--regex"},
    {"grammar", "--grammar"},
    {"choices", "--choice"}};

// "start.options.stop_strings[3]" is "--stop (number 4)": people count from 1.
// "template_options.date" is "--template-option date".
std::string NameOfField(absl::string_view field, const RequestTerms& terms) {
  for (const absl::string_view part : {"start.", "turn.", "options."}) {
    absl::ConsumePrefix(&field, part);
  }
  if (absl::ConsumePrefix(&field, "response_format.")) {
    for (const auto& [known, flag] : kFormats) {
      if (field == known) return std::string(flag);
    }
  }
  const absl::string_view name = field.substr(0, field.find_first_of(".["));
  if (name == "model_id") return terms.model_flag;
  std::string flag =
      absl::StrCat("--", absl::StrReplaceAll(name, {{"_", "-"}}));
  for (const auto& [known, words] : kNames) {
    if (name == known) flag = std::string(words);
  }
  if (name == "template_options" && absl::ConsumePrefix(&field, name) &&
      absl::ConsumePrefix(&field, ".")) {
    return absl::StrCat(flag, " ", field);
  }
  // Elements of the prompt are not the user's.
  const std::vector<absl::string_view> parts =
      absl::StrSplit(field, absl::ByAnyChar("[]"));
  int index = 0;
  if (flag != "the prompt" && parts.size() > 1 &&
      absl::SimpleAtoi(parts[1], &index)) {
    absl::StrAppend(&flag, " (number ", index + 1, ")");
  }
  return flag;
}

std::string Violations(const ErrorDetail& detail, const RequestTerms& terms) {
  return absl::StrJoin(
      detail.violations, "; ",
      [&terms](std::string* out, const FieldViolation& violation) {
        absl::StrAppend(out, NameOfField(violation.field, terms), ": ",
                        violation.description);
      });
}

std::string UnknownSession(const RequestTerms& terms) {
  return absl::StrCat("--session ", QuotedValue(terms.session_id),
                      ": there is no such session, or not any more: leave "
                      "--session out to begin a new one");
}

std::string NoTemplate(const ErrorDetail& detail) {
  const std::string why =
      detail.violations.empty()
          ? "the chat template of the model's file can not be used"
          : detail.violations.front().description;
  return absl::StrCat("--chat and --system: ", why,
                      "; leave the flag out and format the prompt by hand, "
                      "with --special for the names of special tokens");
}

std::string ContextExceeded(absl::string_view message,
                            const RequestTerms& terms) {
  return absl::StrCat(message, ": give a shorter prompt",
                      terms.session_id.empty()
                          ? ""
                          : ", or begin a new session without --session");
}

}  // namespace

absl::Status InFlagTerms(const absl::Status& error, const RequestTerms& terms) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  if (!detail.has_value()) return error;
  const std::string& reason = detail->reason;
  std::string message(error.message());
  if (reason == kReasonUnknownSession && !terms.session_id.empty()) {
    message = UnknownSession(terms);
  } else if (reason == kReasonInvalidKey || reason == kReasonMissingScope) {
    message = absl::StrCat("the service says: ", message,
                           "; --key-file names the file with your key");
  } else if (reason == kReasonUnsupportedChatTemplate) {
    message = NoTemplate(*detail);
  } else if (reason == kReasonEmptyPrompt) {
    message = "the prompt is empty: give a text with at least one character";
  } else if (!detail->violations.empty()) {
    message = Violations(*detail, terms);
  } else if (reason == kReasonUnknownModel && !terms.model_id.empty()) {
    return NotServed(terms);
  } else if (reason == kReasonContextExceeded) {
    message = ContextExceeded(message, terms);
  } else if (reason == kReasonCallerNotAllowed) {
    absl::StrAppend(&message,
                    "; start it with one, or give another certificate by "
                    "--tls-cert and --tls-key");
  }
  return MakeError(error.code(), *detail, message);
}

absl::Status NotServed(const RequestTerms& terms) {
  return UnknownModel(absl::StrCat(terms.model_flag, " ",
                                   QuotedValue(terms.model_id),
                                   " is not served: `tandem models` lists what "
                                   "is"));
}

}  // namespace tandem::cli
