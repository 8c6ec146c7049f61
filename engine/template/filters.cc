#include "engine/template/filters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/list_filters.h"
#include "engine/template/operators.h"
#include "engine/template/text_filters.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Result = absl::StatusOr<TemplateValue>;

// Digits before or behind the point that round keeps; a double has no more.
constexpr int64_t kRoundDigitsMax = 308;

// Filters of Jinja that make HTML, draw at random or lay out for people.
constexpr absl::string_view kRefused[] = {
    "e",      "escape",   "filesizeformat", "forceescape",
    "pprint", "random",   "striptags",      "urlencode",
    "urlize", "wordwrap", "xmlattr",
};

Result Default(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& /*budget*/) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"default_value", "boolean"}, 0));
  const bool replaces_false = bound[1] != nullptr && IsTrue(*bound[1]);
  if (!value.is_undefined() && !(replaces_false && !IsTrue(value))) {
    return value;
  }
  return bound[0] == nullptr ? TemplateValue::Text("") : *bound[0];
}

Result Abs(const TemplateValue& value, const CallArguments& arguments,
           RenderBudget& /*budget*/) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  if (!value.is_number()) {
    return TemplateError(
        absl::StrCat("needs a number, is given ", KindName(value)));
  }
  if (value.is_float()) return TemplateValue::Float(std::fabs(value.number()));
  return value.whole() < 0 ? Negate(value)
                           : TemplateValue::Integer(value.whole());
}

// The attribute of an object; maps have items instead.
Result Attr(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"name"}, 1));
  if (value.is_object() || value.is_undefined()) {
    return LookUp(value, *bound[0], budget);
  }
  return TemplateValue::Undefined(
      absl::StrCat(KindName(value), " has no such attribute"));
}

// `text` as Python reads numbers: white space around, underscores between
// digits.
std::optional<std::string> NumberText(absl::string_view text) {
  const auto [begin, end] = StripSpace(text, TextEnds::kBoth);
  std::string digits;
  for (size_t i = begin; i < end; ++i) {
    if (text[i] != '_') {
      digits.push_back(text[i]);
    } else if (i == begin || i + 1 == end ||
               !absl::ascii_isalnum(text[i - 1]) ||
               !absl::ascii_isalnum(text[i + 1])) {
      return std::nullopt;
    }
  }
  if (digits.empty()) return std::nullopt;
  return digits;
}

std::optional<double> ReadFloat(absl::string_view text) {
  const std::optional<std::string> digits = NumberText(text);
  double number = 0;
  // No hexadecimal ones, which SimpleAtod would take.
  if (!digits.has_value() || digits->find_first_of("xX") != std::string::npos ||
      !absl::SimpleAtod(*digits, &number)) {
    return std::nullopt;
  }
  return number;
}

std::optional<double> FloatOf(const TemplateValue& value) {
  if (value.is_number()) return value.number();
  if (value.is_text()) return ReadFloat(value.text().bytes());
  return std::nullopt;
}

// `digits` in `base`, with an optional sign and the prefix of the base; empty
// where they are none or beyond 64 bits.
std::optional<int64_t> ReadWhole(absl::string_view digits, int64_t base) {
  bool is_negative = false;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    is_negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  const char kind =
      digits.size() > 2 && digits[0] == '0'
          ? absl::ascii_tolower(static_cast<unsigned char>(digits[1]))
          : '\0';
  const int64_t named = kind == 'x'   ? 16
                        : kind == 'o' ? 8
                        : kind == 'b' ? 2
                                      : 0;
  if (named != 0 && (base == named || base == 0)) {
    digits.remove_prefix(2);
    base = named;
  }
  if (base == 0) base = 10;
  if (digits.empty()) return std::nullopt;
  int64_t number = 0;
  for (const char c : digits) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    int64_t digit = 99;
    if (absl::ascii_isdigit(lower)) digit = lower - '0';
    if (absl::ascii_islower(lower)) digit = lower - 'a' + 10;
    if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
        __builtin_sub_overflow(number, digit, &number)) {
      return std::nullopt;
    }
  }
  if (is_negative) return number;
  if (number == std::numeric_limits<int64_t>::min()) return std::nullopt;
  return -number;
}

Result Int(const TemplateValue& value, const CallArguments& arguments,
           RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"default", "base"}, 0));
  if (value.is_undefined()) return UndefinedError(value);
  int64_t base = 10;
  if (bound[1] != nullptr) {
    if (!bound[1]->is_whole()) return TemplateError("'base' must be a number");
    base = bound[1]->whole();
  }
  if (base != 0 && (base < 2 || base > 36)) {
    return TemplateError("'base' must be 0 or between 2 and 36");
  }
  if (value.is_whole()) return TemplateValue::Integer(value.whole());
  if (value.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(value.text().size()));
    const std::optional<std::string> digits = NumberText(value.text().bytes());
    const std::optional<int64_t> whole =
        digits.has_value() ? ReadWhole(*digits, base) : std::nullopt;
    if (whole.has_value()) return TemplateValue::Integer(*whole);
  }
  const std::optional<double> number = FloatOf(value);
  if (number.has_value() && std::isfinite(*number)) {
    if (!(std::fabs(*number) < 0x1p63)) {
      return TemplateError("a whole number beyond 64 bits");
    }
    return TemplateValue::Integer(static_cast<int64_t>(*number));
  }
  return bound[0] == nullptr ? TemplateValue::Integer(0) : *bound[0];
}

Result Float(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"default"}, 0));
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(value.text().size()));
  }
  const std::optional<double> number = FloatOf(value);
  if (number.has_value()) return TemplateValue::Float(*number);
  return bound[0] == nullptr ? TemplateValue::Float(0) : *bound[0];
}

// `number` to `digits` places behind the point, halves of what the number
// really is to the even neighbour.
double RoundFloat(double number, int64_t digits) {
  if (!std::isfinite(number)) return number;
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(number / unit) * unit;
  }
  double rounded = number;
  const std::string text =
      absl::StrFormat("%.*f", static_cast<int>(digits), number);
  return absl::SimpleAtod(text, &rounded) ? rounded : number;
}

Result Round(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"precision", "method"}, 0));
  if (value.is_undefined()) return UndefinedError(value);
  if (!value.is_number()) {
    return TemplateError(
        absl::StrCat("needs a number, is given ", KindName(value)));
  }
  int64_t digits = 0;
  if (bound[0] != nullptr) {
    if (!bound[0]->is_whole()) {
      return TemplateError("'precision' must be a whole number");
    }
    digits = std::clamp(bound[0]->whole(), -kRoundDigitsMax, kRoundDigitsMax);
  }
  std::string method = "common";
  if (bound[1] != nullptr && bound[1]->is_text()) {
    method = bound[1]->text().bytes();
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") {
    return TemplateValue::Float(std::ceil(value.number() * unit) / unit);
  }
  if (method == "floor") {
    return TemplateValue::Float(std::floor(value.number() * unit) / unit);
  }
  if (method != "common") {
    return TemplateError("'method' must be 'common', 'ceil' or 'floor'");
  }
  // A digit takes some 10 ns.
  TANDEM_RETURN_IF_ERROR(
      budget.StepCharacters(static_cast<size_t>(std::abs(digits))));
  if (value.is_float()) {
    return TemplateValue::Float(RoundFloat(value.number(), digits));
  }
  if (digits >= 0) return TemplateValue::Integer(value.whole());
  const double rounded = RoundFloat(value.number(), digits);
  if (!(std::fabs(rounded) < 0x1p63)) {
    return TemplateError("a whole number beyond 64 bits");
  }
  return TemplateValue::Integer(static_cast<int64_t>(rounded));
}

// Nothing is escaped here, so nothing needs to be kept from it.
Result Safe(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  TANDEM_ASSIGN_OR_RETURN(MarkedText text, TextOf(value, budget));
  return budget.NewText(std::move(text));
}

constexpr TemplateFilter kFilters[] = {
    {"abs", &Abs},         {"attr", &Attr},   {"d", &Default},
    {"default", &Default}, {"float", &Float}, {"int", &Int},
    {"round", &Round},     {"safe", &Safe},
};

const TemplateFilter* FindIn(absl::Span<const TemplateFilter> filters,
                             absl::string_view name) {
  for (const TemplateFilter& filter : filters) {
    if (filter.name == name) return &filter;
  }
  return nullptr;
}

}  // namespace

const TemplateFilter* FindFilter(absl::string_view name) {
  for (const auto filters :
       {absl::MakeConstSpan(kFilters), TextFilters(), ListFilters()}) {
    if (const TemplateFilter* found = FindIn(filters, name)) return found;
  }
  return nullptr;
}

std::vector<absl::string_view> FilterNames() {
  std::vector<absl::string_view> names;
  for (const auto filters :
       {absl::MakeConstSpan(kFilters), TextFilters(), ListFilters()}) {
    for (const TemplateFilter& filter : filters) names.push_back(filter.name);
  }
  return names;
}

bool IsRefusedFilter(absl::string_view name) {
  return std::find(std::begin(kRefused), std::end(kRefused), name) !=
         std::end(kRefused);
}

}  // namespace tandem
