#include "tools/tandem/template_options.h"

#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/service_terms.h"
#include "tools/tandem/text_input.h"

namespace tandem::cli {
namespace {

TemplateOption MakeOption(std::string name, std::string value) {
  TemplateOption option = {.name = std::move(name), .value = {}};
  int64_t integer = 0;
  double number = 0;
  if (value == "true" || value == "false") {
    option.value = value == "true";
  } else if (absl::SimpleAtoi(value, &integer)) {
    option.value = integer;
  } else if (absl::SimpleAtod(value, &number)) {
    option.value = number;
  } else if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    option.value = value.substr(1, value.size() - 2);
  } else {
    option.value = std::move(value);
  }
  return option;
}

}  // namespace

absl::StatusOr<std::vector<TemplateOption>> ParseTemplateOptions(
    absl::Span<const std::string> flags) {
  std::vector<TemplateOption> options;
  for (const std::string& flag : flags) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(flag, "text of --template-option"));
    const size_t equals = flag.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return UsageError(
          absl::StrCat("--template-option ", flag,
                       ": write NAME=VALUE, e.g. enable_thinking=false"));
    }
    options.push_back(
        MakeOption(flag.substr(0, equals), flag.substr(equals + 1)));
  }
  const absl::Status status = CheckTemplateOptions(options);
  if (!status.ok()) return InFlagTerms(status, {});
  return options;
}

void SetTemplateOptions(absl::Span<const TemplateOption> options,
                        v1::TurnRequest* turn) {
  for (const TemplateOption& option : options) {
    v1::TemplateOption& value =
        (*turn->mutable_template_options())[option.name];
    if (const auto* flag = std::get_if<bool>(&option.value)) {
      value.set_bool_value(*flag);
    } else if (const auto* integer = std::get_if<int64_t>(&option.value)) {
      value.set_int_value(*integer);
    } else if (const auto* number = std::get_if<double>(&option.value)) {
      value.set_number_value(*number);
    } else {
      value.set_text_value(std::get<std::string>(option.value));
    }
  }
}

}  // namespace tandem::cli
