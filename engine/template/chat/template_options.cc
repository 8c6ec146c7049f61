#include "engine/template/chat/template_options.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

// What else a name may stand for in templates: the other variables of a
// rendering, the functions that are always there, and words of the language.
// Spaces stand around each.
constexpr absl::string_view kTakenNames =
    " messages tools documents add_generation_prompt bos_token eos_token"
    " eot_token unk_token pad_token sep_token cls_token mask_token"
    " additional_special_tokens raise_exception strftime_now range dict"
    " lipsum cycler joiner namespace loop self super caller varargs kwargs"
    " true false none True False None and or not in is if else elif for set"
    " macro call filter block generation break continue import include"
    " extends from with recursive ";

bool IsIdentifier(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

const TemplateOption* FindOption(absl::Span<const TemplateOption> options,
                                 absl::string_view name) {
  const auto found =
      std::find_if(options.begin(), options.end(),
                   [name](const TemplateOption& o) { return o.name == name; });
  return found == options.end() ? nullptr : &*found;
}

size_t ValueBytes(const TemplateOption& option) {
  const auto* text = std::get_if<std::string>(&option.value);
  return text == nullptr ? sizeof(double) : text->size();
}

absl::Status CheckOption(const TemplateOption& option) {
  // A name may be anything until it is checked; it is told only if it is one.
  if (!IsIdentifier(option.name) ||
      option.name.size() > kTemplateNameBytesMax) {
    return InvalidField(
        "template_options",
        absl::StrCat("must have names of letters, digits and '_', at most ",
                     kTemplateNameBytesMax, " bytes long"));
  }
  if (absl::StrContains(kTakenNames, absl::StrCat(" ", option.name, " "))) {
    return BadTemplateOption(
        option.name, "can not be set: the name has a meaning in templates");
  }
  const auto* number = std::get_if<double>(&option.value);
  if (number != nullptr && !std::isfinite(*number)) {
    return BadTemplateOption(option.name, "must be finite");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTemplateOptions(absl::Span<const TemplateOption> options) {
  if (options.size() > kTemplateOptionsMax) {
    return InvalidField("template_options",
                        absl::StrCat("must have at most ", kTemplateOptionsMax,
                                     " options, has ", options.size()));
  }
  size_t bytes = 0;
  for (const TemplateOption& option : options) {
    bytes += option.name.size() + ValueBytes(option);
  }
  if (bytes > kTemplateOptionsBytesMax) {
    return InvalidField(
        "template_options",
        absl::StrCat("must have names and values of at most ",
                     kTemplateOptionsBytesMax, " bytes in all, has ", bytes));
  }
  for (const TemplateOption& option : options) {
    TANDEM_RETURN_IF_ERROR(CheckOption(option));
    if (FindOption(options, option.name) != &option) {
      return BadTemplateOption(option.name, "is set twice");
    }
  }
  TANDEM_RETURN_IF_ERROR(TextOption(options, kTemplateOption).status());
  TANDEM_ASSIGN_OR_RETURN(const std::string date,
                          TextOption(options, kDateOption));
  if (FindOption(options, kDateOption) != nullptr &&
      !ParseDate(date).has_value()) {
    return BadTemplateOption(kDateOption, "must be a day as YYYY-MM-DD");
  }
  return absl::OkStatus();
}

absl::Status BadTemplateOption(absl::string_view name, absl::string_view what) {
  return InvalidField(absl::StrCat("template_options.", name), what);
}

absl::StatusOr<std::string> TextOption(absl::Span<const TemplateOption> options,
                                       absl::string_view name) {
  const TemplateOption* const option = FindOption(options, name);
  if (option == nullptr) return std::string();
  const auto* text = std::get_if<std::string>(&option->value);
  if (text == nullptr) return BadTemplateOption(name, "must be a text");
  return *text;
}

std::optional<absl::CivilDay> ParseDate(absl::string_view date) {
  absl::CivilDay day;
  // The parser takes days with signs, spaces or fewer digits, too; strftime has
  // four digits only.
  if (!absl::ParseCivilTime(date, &day) || day.year() < 1000 ||
      day.year() > 9999 || absl::FormatCivilTime(day) != date) {
    return std::nullopt;
  }
  return day;
}

std::string UtcDate(absl::Time time) {
  return absl::FormatCivilTime(absl::ToCivilDay(time, absl::UTCTimeZone()));
}

}  // namespace tandem
