#include "engine/template/format_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using ListKind = Value::ListKind;

// Digits after the point; a double has no more than 1,074.
constexpr int kPrecisionMax = 1100;
// Digits that a width or an index may have.
constexpr size_t kCountDigitsMax = 9;
// Bytes of a format for strftime.
constexpr size_t kTimeFormatBytesMax = 1024;
// Types that whole numbers only have.
constexpr absl::string_view kWholeTypes = "dxXob";
// As align: by a 0 before the width of format().
constexpr char kZeroFilled = '0';

// How one value is to be put in.
struct FormatSpec {
  MarkedText fill = MarkedText(" ", TextMark::kTemplate);
  char align = 0;  // < > ^ =; 0: as the type has it
  char sign = '-';
  bool is_alternate = false;
  char grouping = 0;  // , or _ between thousands
  int64_t width = 0;
  int precision = -1;
  char type = 0;
};

bool IsOneOf(char kind, absl::string_view kinds) {
  return kinds.find(kind) != absl::string_view::npos;
}

// Takes a count from the beginning of `text`; 0 where none stands there.
int64_t TakeCount(absl::string_view* text, RenderBudget& budget) {
  const size_t digits =
      std::min(text->find_first_not_of("0123456789"), text->size());
  int64_t count = 0;
  if (digits > kCountDigitsMax) {
    return budget.Fail("a width or place in a format is too large");
  }
  if (digits > 0 && !absl::SimpleAtoi(text->substr(0, digits), &count)) {
    return budget.Fail("a width or place in a format is no number");
  }
  text->remove_prefix(digits);
  return count;
}

// The precision that `text` begins with; -1 where none stands there.
int TakePrecision(absl::string_view* text, RenderBudget& budget) {
  if (!absl::ConsumePrefix(text, ".")) return -1;
  return static_cast<int>(TakeCount(text, budget));
}

// The first character of `text` where `set` has it, which is taken; else 0.
char TakeOneOf(absl::string_view set, absl::string_view* text) {
  if (text->empty() || !IsOneOf((*text)[0], set)) return '\0';
  const char taken = (*text)[0];
  text->remove_prefix(1);
  return taken;
}

std::string Grouped(absl::string_view digits, char separator) {
  const size_t end =
      std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string grouped;
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % 3 == 0) grouped.push_back(separator);
    grouped.push_back(digits[i]);
  }
  return absl::StrCat(grouped, digits.substr(end));
}

std::string WholeDigits(uint64_t number, const FormatSpec& spec) {
  int base = 10;
  if (spec.type == 'b') base = 2;
  if (spec.type == 'o') base = 8;
  if (spec.type == 'x' || spec.type == 'X') base = 16;
  std::array<char, 64> buffer = {};
  const char* const end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, base)
          .ptr;
  std::string digits(buffer.data(), static_cast<size_t>(end - buffer.data()));
  if (spec.type == 'X') absl::AsciiStrToUpper(&digits);
  // A precision is the least number of digits.
  const auto least = static_cast<size_t>(std::max(0, spec.precision));
  if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
  const bool has_prefix = spec.is_alternate && base != 10;
  return has_prefix
             ? absl::StrCat("0", absl::string_view(&spec.type, 1), digits)
             : digits;
}

std::string FloatDigits(double number, const FormatSpec& spec) {
  if (!std::isfinite(number)) return std::isnan(number) ? "nan" : "inf";
  if (spec.type == 0) return FloatText(number);
  const bool is_percent = spec.type == '%';
  const std::string format = absl::StrCat(
      "%.*", is_percent ? "f%%" : absl::string_view(&spec.type, 1));
  std::string digits;
  TANDEM_CHECK(absl::FormatUntyped(
      &digits, absl::UntypedFormatSpec(format),
      {absl::FormatArg(spec.precision < 0 ? 6 : spec.precision),
       absl::FormatArg(is_percent ? number * 100 : number)}));
  return digits;
}

// `text` in the width of `spec`.
MarkedText Pad(const MarkedText& text, const FormatSpec& spec, size_t lead,
               RenderBudget& budget) {
  const int64_t missing =
      std::max<int64_t>(0, spec.width - CountCharacters(text.bytes()));
  int64_t before = missing;
  if (spec.align == '<') before = 0;
  if (spec.align == '^') before = missing / 2;
  return PadText(text,
                 {.fill = spec.fill,
                  .before = before,
                  .after = missing - before,
                  .lead = spec.align == '=' ? lead : 0},
                 budget);
}

MarkedText FormatNumber(const Value& value, FormatSpec spec,
                        RenderBudget& budget) {
  if (spec.precision > kPrecisionMax) {
    return budget.Fail("a precision in a format is too large");
  }
  // A digit takes some 10 ns.
  budget.StepCharacters(static_cast<size_t>(std::max(0, spec.precision)));
  std::string digits;
  bool is_negative = false;
  if (value.is_whole() && (spec.type == 0 || IsOneOf(spec.type, kWholeTypes))) {
    is_negative = value.whole() < 0;
    const auto bits = static_cast<uint64_t>(value.whole());
    digits = WholeDigits(is_negative ? 0 - bits : bits, spec);
  } else {
    is_negative = std::signbit(value.number());
    digits = FloatDigits(std::fabs(value.number()), spec);
  }
  if (spec.grouping != 0) digits = Grouped(digits, spec.grouping);
  if (is_negative || spec.sign != '-') {
    digits.insert(0, 1, is_negative ? '-' : spec.sign);
  }
  if (spec.align == 0) spec.align = '>';
  return Pad(MarkedText(digits, TextMark::kTemplate), spec,
             is_negative || spec.sign != '-' ? 1 : 0, budget);
}

// str(value) or, by type `r`, repr(value).
MarkedText FormatPlainText(const Value& value, const FormatSpec& spec,
                           RenderBudget& budget) {
  MarkedText text =
      spec.type == 'r' ? ReprOf(value, budget) : TextOf(value, budget);
  if (spec.precision >= 0) {
    text = text.Slice(0, CharacterOffset(text.bytes(), spec.precision));
  }
  return Pad(text, spec, 0, budget);
}

// The values of text % value, one after another or by name.
class PercentValues {
 public:
  explicit PercentValues(const Value& value)
      : value_(value),
        values_(value.is_list(ListKind::kTuple)
                    ? value.items()
                    : absl::MakeConstSpan(&value, 1)) {}

  Value Next(RenderBudget& budget) {
    if (used_ < values_.size()) return values_[used_++];
    return budget.Fail("a format with % has more fields than values");
  }
  // Takes the rest of a name in brackets from `format`.
  Value Named(absl::string_view* format, RenderBudget& budget) {
    const size_t end = format->find(')');
    if (end == absl::string_view::npos || !value_.is_map()) {
      return budget.Fail("a format with %(name) needs a map");
    }
    const Value* found = value_.Find(format->substr(0, end));
    if (found == nullptr) {
      return budget.Fail("a format with %(name) names what the map has not");
    }
    format->remove_prefix(end + 1);
    used_ = 1;
    return *found;
  }
  void CheckAllAreUsed(RenderBudget& budget) const {
    const bool may_be_left = value_.is_map() ||
                             value_.is_list(ListKind::kList) ||
                             value_.is_list(ListKind::kRange);
    if (used_ >= values_.size() || may_be_left) return;
    budget.Fail("a format with % has fewer fields than values");
  }

 private:
  const Value& value_;
  const absl::Span<const Value> values_;
  size_t used_ = 0;
};

FormatSpec TakePercentSpec(absl::string_view* text, RenderBudget& budget) {
  FormatSpec spec;
  spec.align = '>';
  while (const char flag = TakeOneOf("-0+ #", text)) {
    if (flag == '-') {
      spec.align = '<';
    } else if (flag == '0' && spec.align != '<') {
      spec.align = '=';
      spec.fill = MarkedText("0", TextMark::kTemplate);
    } else if (flag == '+' || (flag == ' ' && spec.sign == '-')) {
      spec.sign = flag;
    } else if (flag == '#') {
      spec.is_alternate = true;
    }
  }
  spec.width = TakeCount(text, budget);
  spec.precision = TakePrecision(text, budget);
  if (text->empty()) {
    return budget.Fail("a format with % ends within a field");
  }
  spec.type = (*text)[0];
  text->remove_prefix(1);
  return spec;
}

MarkedText FormatField(const Value& value, FormatSpec spec,
                       RenderBudget& budget) {
  if (spec.type == 's' || spec.type == 'r') {
    spec.fill = MarkedText(" ", TextMark::kTemplate);
    if (spec.align == '=') spec.align = '>';
    return FormatPlainText(value, spec, budget);
  }
  const bool is_decimal = IsOneOf(spec.type, "diu");
  if (!is_decimal && !IsOneOf(spec.type, "xXoeEfFgG")) {
    return budget.Fail("a format with % has a field of an unknown kind");
  }
  const absl::string_view type =
      is_decimal ? "d" : absl::string_view(&spec.type, 1);
  const bool takes_whole = IsOneOf(spec.type, "xXo");
  const bool is_large =
      value.is_float() && !(std::fabs(value.number()) < 0x1p63);
  if (!value.is_number() || (takes_whole && value.is_float()) ||
      (is_decimal && is_large)) {
    return budget.Fail(KindName(value), " can not be written by %", type);
  }
  if (!is_decimal && !takes_whole) {
    return FormatNumber(Value::Float(value.number()), spec, budget);
  }
  spec.type = type[0];
  return FormatNumber(
      Value::Integer(value.is_whole() ? value.whole()
                                      : static_cast<int64_t>(value.number())),
      spec, budget);
}

// The argument that a field of format() names: by place, by name or, where
// `name` is empty, the one after `*next`.
Value ArgumentOf(absl::string_view name, const CallArguments& arguments,
                 size_t* next, RenderBudget& budget) {
  if (name.find_first_of(".[{") != absl::string_view::npos) {
    return budget.Fail("format() takes no attributes, items or inner fields");
  }
  absl::string_view rest = name;
  const int64_t index = TakeCount(&rest, budget);
  if (rest.empty()) {
    const size_t place = name.empty() ? (*next)++ : static_cast<size_t>(index);
    if (place < arguments.positional.size()) return arguments.positional[place];
    return budget.Fail("format() has more fields than arguments");
  }
  budget.StepVariables(arguments.named.size());
  for (const auto& [argument, value] : arguments.named) {
    if (argument == name) return value;
  }
  return budget.Fail("format() names an argument that is not there");
}

// The format `text`, which lies within `format`.
FormatSpec ParseSpec(absl::string_view text, const MarkedText& format,
                     RenderBudget& budget) {
  constexpr absl::string_view kAligns = "<>^=";
  FormatSpec spec;
  const size_t fill_bytes = text.empty() ? 0 : CharacterBytes(text, 0);
  const bool has_fill =
      fill_bytes < text.size() && IsOneOf(text[fill_bytes], kAligns);
  if (has_fill) {
    const auto begin = static_cast<size_t>(text.data() - format.bytes().data());
    spec.fill = format.Slice(begin, begin + fill_bytes);
    text.remove_prefix(fill_bytes);
  }
  spec.align = TakeOneOf(kAligns, &text);
  if (const char sign = TakeOneOf("+- ", &text)) spec.sign = sign;
  spec.is_alternate = TakeOneOf("#", &text) != 0;
  const bool is_zero_filled = TakeOneOf("0", &text) != 0;
  if (is_zero_filled && !has_fill) {
    spec.fill = MarkedText("0", TextMark::kTemplate);
  }
  spec.width = TakeCount(&text, budget);
  spec.grouping = TakeOneOf(",_", &text);
  spec.precision = TakePrecision(&text, budget);
  spec.type = TakeOneOf("sdxXobeEfFgG%", &text);
  if (!text.empty()) return budget.Fail("format() has an unknown format");
  // Of numbers only: texts are filled as they are aligned.
  if (is_zero_filled && spec.align == 0) spec.align = kZeroFilled;
  return spec;
}

// Whether format() can write a number so.
bool CheckNumberSpec(const Value& value, const FormatSpec& spec,
                     RenderBudget& budget) {
  const bool needs_whole = IsOneOf(spec.type, kWholeTypes);
  const bool is_whole = value.is_whole() && (needs_whole || spec.type == 0);
  if (spec.type == 's' || (needs_whole && value.is_float()) ||
      (is_whole && spec.precision >= 0)) {
    return budget.Fail("format() has a format that the number can not have");
  }
  if (spec.type == 0 && spec.precision >= 0) {
    return budget.Fail(
        "format() has a precision without a kind, such as f or g");
  }
  if (spec.grouping != 0 && spec.align == '=') {
    return budget.Fail(
        "format() has both groups of digits and a fill behind the sign");
  }
  return true;
}

// One field of format(), without its braces.
MarkedText FormatBraceField(absl::string_view field, const MarkedText& format,
                            const CallArguments& arguments, size_t* next,
                            RenderBudget& budget) {
  const size_t colon = std::min(field.find(':'), field.size());
  const absl::string_view spec_text =
      field.substr(std::min(colon + 1, field.size()));
  absl::string_view name = field.substr(0, colon);
  const bool is_repr = absl::ConsumeSuffix(&name, "!r");
  const bool is_own =
      !is_repr && !absl::ConsumeSuffix(&name, "!s") && !spec_text.empty();
  const Value value = ArgumentOf(name, arguments, next, budget);
  FormatSpec spec = ParseSpec(spec_text, format, budget);
  if (is_own && value.is_number()) {
    if (spec.align == kZeroFilled) spec.align = '=';
    if (!CheckNumberSpec(value, spec, budget)) return {};
    return FormatNumber(value, spec, budget);
  }
  if (is_own && !value.is_text()) {
    return budget.Fail("format() has a format that ", KindName(value),
                       " can not have");
  }
  if ((spec.type != 0 && spec.type != 's') || spec.align == '=') {
    return budget.Fail("format() has a format for numbers and a text");
  }
  if (spec.align == 0 || spec.align == kZeroFilled) spec.align = '<';
  spec.type = is_repr ? 'r' : 's';
  return FormatPlainText(value, spec, budget);
}

}  // namespace

Value FormatPercent(const MarkedText& format, const Value& value,
                    RenderBudget& budget) {
  const absl::string_view bytes = format.bytes();
  budget.StepBytes(bytes.size());
  PercentValues values(value);
  MarkedText text;
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t sign = std::min(bytes.find('%', at), bytes.size());
    text.Append(format, at, sign);
    if (sign == bytes.size()) break;
    absl::string_view rest = bytes.substr(sign + 1);
    if (absl::StartsWith(rest, "%")) {
      text.Append(format, sign + 1, sign + 2);
      at = sign + 2;
      continue;
    }
    const bool is_named = absl::ConsumePrefix(&rest, "(");
    Value next;
    if (is_named) next = values.Named(&rest, budget);
    const FormatSpec spec = TakePercentSpec(&rest, budget);
    if (!is_named) next = values.Next(budget);
    if (!budget.Append(FormatField(next, spec, budget), &text)) return {};
    at = bytes.size() - rest.size();
  }
  values.CheckAllAreUsed(budget);
  return budget.NewText(std::move(text));
}

Value FormatBraces(const MarkedText& format, const CallArguments& arguments,
                   RenderBudget& budget) {
  const absl::string_view bytes = format.bytes();
  budget.StepBytes(bytes.size());
  MarkedText text;
  size_t next = 0;
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    text.Append(format, at, brace);
    if (brace == bytes.size()) break;
    if (bytes.substr(brace + 1, 1) == bytes.substr(brace, 1)) {
      text.Append(format, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const size_t end = bytes.find('}', brace + 1);
    if (bytes[brace] == '}' || end == absl::string_view::npos) {
      return budget.Fail("a format has a single brace");
    }
    const MarkedText field =
        FormatBraceField(bytes.substr(brace + 1, end - brace - 1), format,
                         arguments, &next, budget);
    if (!budget.Append(field, &text)) return {};
    at = end + 1;
  }
  return budget.NewText(std::move(text));
}

MarkedText PadText(const MarkedText& text, const Padding& padding,
                   RenderBudget& budget) {
  const auto fills = static_cast<size_t>(padding.before + padding.after);
  if (!budget.CheckRoom(fills, padding.fill.memory_bytes())) return {};
  MarkedText padded;
  padded.Append(text, 0, padding.lead);
  for (int64_t i = 0; i < padding.before; ++i) padded.Append(padding.fill);
  padded.Append(text, padding.lead, text.size());
  for (int64_t i = 0; i < padding.after; ++i) padded.Append(padding.fill);
  return padded;
}

std::string FormatTime(absl::string_view format, const std::tm& time,
                       RenderBudget& budget) {
  constexpr absl::string_view kFlags = "-_0^#";
  constexpr absl::string_view kKinds = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY";
  if (format.size() > kTimeFormatBytesMax) {
    return budget.Fail("a format of a time has more than ", kTimeFormatBytesMax,
                       " bytes");
  }
  std::string text;
  size_t at = 0;
  while (at < format.size()) {
    if (format[at] != '%') {
      text.push_back(format[at++]);
      continue;
    }
    size_t end = at + 1;
    while (end < format.size() && IsOneOf(format[end], kFlags)) ++end;
    const char kind = end < format.size() ? format[end] : '\0';
    const std::string field(format.substr(at, end + 1 - at));
    at = std::min(end + 1, format.size());
    if (kind == '%') {
      text.push_back('%');
    } else if (kind == 'f') {
      text.append("000000");
    } else if (kind == 'z' || kind == 'Z') {
      // The time has no zone.
    } else if (kind != '\0' && IsOneOf(kind, kKinds)) {
      // The longest field is %c.
      std::array<char, 128> buffer = {};
      text.append(buffer.data(), std::strftime(buffer.data(), buffer.size(),
                                               field.c_str(), &time));
    } else {
      return budget.Fail("a format of a time has the field '",
                         CutText(field, 8), "', which is not known");
    }
  }
  return text;
}

}  // namespace tandem
