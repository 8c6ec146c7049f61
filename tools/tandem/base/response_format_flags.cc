#include "tools/tandem/base/response_format_flags.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "tools/tandem/base/text_input.h"

namespace tandem::cli {
namespace {

constexpr char kGroup[] = "Generation";

// The flags that were given.
std::vector<std::string> Given(const ResponseFormatFlags& flags) {
  std::vector<std::string> given;
  if (flags.json_schema_file.has_value()) given.push_back("--json-schema");
  if (flags.json_object) given.push_back("--json-object");
  if (flags.regex.has_value()) given.push_back("--regex");
  if (flags.grammar_file.has_value()) given.push_back("--grammar");
  if (!flags.choices.empty()) given.push_back("--choice");
  return given;
}

absl::StatusOr<std::string> ReadSource(const std::string& file,
                                       const std::string& flag, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(
      std::string text,
      ReadText({.file = file}, {.what = "file", .file_flag = flag}, io));
  TANDEM_RETURN_IF_ERROR(CheckUtf8(text, absl::StrCat("file of ", flag)));
  return text;
}

}  // namespace

void AddResponseFormatFlags(CLI::App* command, ResponseFormatFlags* flags) {
  command
      ->add_option("--json-schema", flags->json_schema_file,
                   "The reply is JSON by the JSON Schema in this file")
      ->take_last()
      ->group(kGroup);
  command
      ->add_flag("--json-object", flags->json_object,
                 "The reply is a JSON object")
      ->group(kGroup);
  command
      ->add_option("--regex", flags->regex,
                   "The reply is a text that this regular expression matches "
                   "as a whole")
      ->take_last()
      ->group(kGroup);
  command
      ->add_option("--grammar", flags->grammar_file,
                   "The reply is a text of the GBNF grammar in this file")
      ->take_last()
      ->group(kGroup);
  command
      ->add_option("--choice", flags->choices,
                   "The reply is one of the texts given so; may be repeated")
      ->expected(1)
      ->take_all()
      ->group(kGroup);
}

absl::Status ReadResponseFormat(const ResponseFormatFlags& flags, const Io& io,
                                v1::GenerationOptions* options) {
  const std::vector<std::string> given = Given(flags);
  if (given.empty()) return absl::OkStatus();
  if (given.size() > 1) {
    return UsageError(
        absl::StrCat(absl::StrJoin(given, " and "),
                     " do not go together: a reply has one form"));
  }
  v1::ResponseFormat* const format = options->mutable_response_format();
  if (flags.json_schema_file.has_value()) {
    TANDEM_ASSIGN_OR_RETURN(
        *format->mutable_json_schema(),
        ReadSource(*flags.json_schema_file, "--json-schema", io));
  } else if (flags.json_object) {
    format->mutable_json_object();
  } else if (flags.regex.has_value()) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(*flags.regex, "text of --regex"));
    format->set_regex(*flags.regex);
  } else if (flags.grammar_file.has_value()) {
    TANDEM_ASSIGN_OR_RETURN(*format->mutable_grammar(),
                            ReadSource(*flags.grammar_file, "--grammar", io));
  }
  for (const std::string& choice : flags.choices) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(choice, "text of --choice"));
    format->mutable_choices()->add_texts(choice);
  }
  return absl::OkStatus();
}

}  // namespace tandem::cli
