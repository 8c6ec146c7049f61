#include "engine/template/format_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

// Digits after the point; a double has no more than 1,074.
constexpr int kPrecisionMax = 1100;
// Digits that a width or an index may have.
constexpr size_t kCountDigitsMax = 9;
// Bytes of a format for strftime.
constexpr size_t kTimeFormatBytesMax = 1024;

// How one value is to be put in.
struct FormatSpec {
  MarkedText fill = MarkedText(" ", TextMark::kTemplate);
  char align = 0;  // < > ^ =; 0: as the type has it
  char sign = '-';
  bool is_alternate = false;
  bool is_zero_filled = false;  // by a 0 before the width of format()
  char grouping = 0;            // , or _ between thousands
  int64_t width = 0;
  int precision = -1;
  char type = 0;
};

// Reads a count; 0 where none stands at `*at`.
absl::StatusOr<int64_t> ReadCount(absl::string_view text, size_t* at) {
  int64_t count = 0;
  const size_t begin = *at;
  while (*at < text.size() && absl::ascii_isdigit(text[*at])) {
    if (*at - begin >= kCountDigitsMax) {
      return TemplateError("a width or place in a format is too large");
    }
    count = 10 * count + (text[(*at)++] - '0');
  }
  return count;
}

absl::Status ReadPrecision(absl::string_view text, size_t* at,
                           FormatSpec* spec) {
  if (*at >= text.size() || text[*at] != '.') return absl::OkStatus();
  ++*at;
  TANDEM_ASSIGN_OR_RETURN(const int64_t precision, ReadCount(text, at));
  spec->precision = static_cast<int>(precision);
  return absl::OkStatus();
}

std::string Grouped(const std::string& digits, char separator) {
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
  const std::string prefix =
      spec.is_alternate && spec.type != 'd' && spec.type != 0
          ? absl::StrCat("0", std::string(1, spec.type))
          : "";
  const uint64_t base = spec.type == 'b'                       ? 2
                        : spec.type == 'o'                     ? 8
                        : spec.type == 'x' || spec.type == 'X' ? 16
                                                               : 10;
  const absl::string_view kDigits =
      spec.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string digits;
  do {
    digits.push_back(kDigits[number % base]);
    number /= base;
  } while (number != 0);
  // A precision is the least number of digits.
  const size_t missing = std::max<size_t>(
      digits.size(), static_cast<size_t>(std::max(0, spec.precision)));
  digits.append(missing - digits.size(), '0');
  std::reverse(digits.begin(), digits.end());
  return absl::StrCat(prefix, digits);
}

std::string FloatDigits(double number, const FormatSpec& spec) {
  if (!std::isfinite(number)) return std::isnan(number) ? "nan" : "inf";
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 'e':
      return absl::StrFormat("%.*e", precision, number);
    case 'E':
      return absl::StrFormat("%.*E", precision, number);
    case 'g':
      return absl::StrFormat("%.*g", precision, number);
    case 'G':
      return absl::StrFormat("%.*G", precision, number);
    case '%':
      return absl::StrFormat("%.*f%%", precision, number * 100);
    default:
      return absl::StrFormat("%.*f", precision, number);
  }
}

// `text` in the width of `spec`; `lead` bytes of it (a sign) stay in front of a
// fill by '='.
absl::StatusOr<MarkedText> Pad(MarkedText text, const FormatSpec& spec,
                               size_t lead, RenderBudget& budget) {
  const int64_t missing = spec.width - CountCharacters(text.bytes());
  if (missing <= 0) return text;
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
      static_cast<double>(missing) * static_cast<double>(spec.fill.size())));
  int64_t before = missing;
  if (spec.align == '<') before = 0;
  if (spec.align == '^') before = missing / 2;
  MarkedText padded;
  const size_t front = spec.align == '=' ? lead : 0;
  padded.Append(text, 0, front);
  for (int64_t i = 0; i < before; ++i) {
    padded.Append(spec.fill);
  }
  padded.Append(text, front, text.size());
  for (int64_t i = before; i < missing; ++i) {
    padded.Append(spec.fill);
  }
  return padded;
}

absl::StatusOr<MarkedText> FormatNumber(const TemplateValue& value,
                                        FormatSpec spec, RenderBudget& budget) {
  if (spec.precision > kPrecisionMax) {
    return TemplateError("a precision in a format is too large");
  }
  // A digit takes some 10 ns.
  TANDEM_RETURN_IF_ERROR(
      budget.StepCharacters(static_cast<size_t>(std::max(0, spec.precision))));
  std::string digits;
  bool is_negative = false;
  if (value.is_whole() &&
      absl::StrContains(absl::string_view("dxXob\0", 6), spec.type)) {
    const int64_t number = value.whole();
    is_negative = number < 0;
    const auto bits = static_cast<uint64_t>(number);
    digits = WholeDigits(is_negative ? 0 - bits : bits, spec);
  } else if (spec.type == 0) {
    is_negative = std::signbit(value.number());
    digits = FloatText(std::fabs(value.number()));
  } else {
    is_negative = std::signbit(value.number());
    digits = FloatDigits(std::fabs(value.number()), spec);
  }
  if (spec.grouping != 0) digits = Grouped(digits, spec.grouping);
  std::string sign;
  if (is_negative) {
    sign = "-";
  } else if (spec.sign != '-') {
    sign = std::string(1, spec.sign);
  }
  if (spec.align == 0) spec.align = '>';
  return Pad(MarkedText(absl::StrCat(sign, digits), TextMark::kTemplate), spec,
             sign.size(), budget);
}

absl::StatusOr<MarkedText> FormatPlainText(MarkedText text, FormatSpec spec,
                                           RenderBudget& budget) {
  if (spec.precision >= 0) {
    text = text.Slice(0, CharacterOffset(text.bytes(), spec.precision));
  }
  return Pad(std::move(text), spec, 0, budget);
}

// The formatting of text % value.
class PercentFormatter {
 public:
  PercentFormatter(const MarkedText& format, const TemplateValue& value,
                   RenderBudget* budget)
      : format_(format), value_(value), budget_(*budget) {}

  absl::StatusOr<TemplateValue> Run();

 private:
  absl::Status WriteField(size_t* at);
  absl::StatusOr<TemplateValue> NextValue();
  absl::StatusOr<TemplateValue> KeyedValue(size_t* at);
  absl::StatusOr<FormatSpec> ReadSpec(size_t* at) const;
  absl::StatusOr<MarkedText> Convert(const TemplateValue& value,
                                     FormatSpec spec);

  const MarkedText& format_;
  const TemplateValue& value_;
  RenderBudget& budget_;
  size_t used_ = 0;
  MarkedText text_;
};

absl::StatusOr<TemplateValue> PercentFormatter::Run() {
  const std::string& bytes = format_.bytes();
  TANDEM_RETURN_IF_ERROR(budget_.StepBytes(bytes.size()));
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t field = std::min(bytes.find('%', at), bytes.size());
    text_.Append(format_, at, field);
    at = field;
    if (at == bytes.size()) break;
    TANDEM_RETURN_IF_ERROR(WriteField(&at));
    TANDEM_RETURN_IF_ERROR(
        budget_.CheckRoom(static_cast<double>(text_.memory_bytes())));
  }
  const bool is_tuple = value_.is_list(TemplateValue::ListKind::kTuple);
  const size_t count = is_tuple ? value_.items().size() : 1;
  const bool may_be_left =
      value_.is_map() || (value_.is_indexable() && !is_tuple);
  if (used_ < count && !may_be_left) {
    return TemplateError("a format with % has fewer fields than values");
  }
  return budget_.NewText(std::move(text_));
}

absl::StatusOr<TemplateValue> PercentFormatter::NextValue() {
  const bool is_tuple = value_.is_list(TemplateValue::ListKind::kTuple);
  if (used_ >= (is_tuple ? value_.items().size() : 1)) {
    return TemplateError("a format with % has more fields than values");
  }
  const TemplateValue& next = is_tuple ? value_.items()[used_] : value_;
  ++used_;
  return next;
}

absl::StatusOr<TemplateValue> PercentFormatter::KeyedValue(size_t* at) {
  const absl::string_view bytes = format_.bytes();
  const size_t end = bytes.find(')', *at);
  if (end == absl::string_view::npos || !value_.is_map()) {
    return TemplateError("a format with %(name) needs a map");
  }
  const TemplateValue* found = value_.Find(bytes.substr(*at, end - *at));
  if (found == nullptr) {
    return TemplateError("a format with %(name) names what the map has not");
  }
  *at = end + 1;
  used_ = 1;
  return *found;
}

absl::StatusOr<FormatSpec> PercentFormatter::ReadSpec(size_t* at) const {
  const std::string& bytes = format_.bytes();
  FormatSpec spec;
  spec.align = '>';
  for (; *at < bytes.size(); ++*at) {
    const char flag = bytes[*at];
    if (flag == '-') {
      spec.align = '<';
    } else if (flag == '0' && spec.align != '<') {
      spec.align = '=';
      spec.fill = MarkedText("0", TextMark::kTemplate);
    } else if (flag == '+' || (flag == ' ' && spec.sign == '-')) {
      spec.sign = flag;
    } else if (flag == '#') {
      spec.is_alternate = true;
    } else if (flag != '0' && flag != ' ') {
      break;
    }
  }
  TANDEM_ASSIGN_OR_RETURN(spec.width, ReadCount(bytes, at));
  TANDEM_RETURN_IF_ERROR(ReadPrecision(bytes, at, &spec));
  if (*at >= bytes.size()) {
    return TemplateError("a format with % ends within a field");
  }
  spec.type = bytes[(*at)++];
  return spec;
}

absl::Status PercentFormatter::WriteField(size_t* at) {
  const std::string& bytes = format_.bytes();
  ++*at;
  if (*at < bytes.size() && bytes[*at] == '%') {
    text_.Append(format_, *at, *at + 1);
    ++*at;
    return absl::OkStatus();
  }
  std::optional<TemplateValue> value;
  if (*at < bytes.size() && bytes[*at] == '(') {
    ++*at;
    TANDEM_ASSIGN_OR_RETURN(value, KeyedValue(at));
  }
  TANDEM_ASSIGN_OR_RETURN(const FormatSpec spec, ReadSpec(at));
  if (!value.has_value()) {
    TANDEM_ASSIGN_OR_RETURN(value, NextValue());
  }
  TANDEM_ASSIGN_OR_RETURN(const MarkedText field, Convert(*value, spec));
  text_.Append(field);
  return absl::OkStatus();
}

absl::StatusOr<MarkedText> PercentFormatter::Convert(const TemplateValue& value,
                                                     FormatSpec spec) {
  switch (spec.type) {
    case 's':
    case 'r': {
      spec.fill = MarkedText(" ", TextMark::kTemplate);
      if (spec.align == '=') spec.align = '>';
      TANDEM_ASSIGN_OR_RETURN(MarkedText text, spec.type == 's'
                                                   ? TextOf(value, budget_)
                                                   : ReprOf(value, budget_));
      return FormatPlainText(std::move(text), spec, budget_);
    }
    case 'd':
    case 'i':
    case 'u':
      if (!value.is_number() ||
          (value.is_float() && !(std::fabs(value.number()) < 0x1p63))) {
        return TemplateError(
            absl::StrCat(KindName(value), " can not be written by %d"));
      }
      spec.type = 'd';
      return FormatNumber(
          TemplateValue::Integer(value.is_whole()
                                     ? value.whole()
                                     : static_cast<int64_t>(value.number())),
          spec, budget_);
    case 'x':
    case 'X':
    case 'o':
      if (value.is_whole()) return FormatNumber(value, spec, budget_);
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (value.is_number()) {
        return FormatNumber(TemplateValue::Float(value.number()), spec,
                            budget_);
      }
      break;
    default:
      return TemplateError("a format with % has a field of an unknown kind");
  }
  return TemplateError(absl::StrCat(KindName(value), " can not be written by %",
                                    std::string(1, spec.type)));
}

// Whether format() can write `value` so.
absl::Status CheckNumberSpec(const TemplateValue& value,
                             const FormatSpec& spec) {
  const bool needs_whole =
      spec.type != 0 &&
      absl::StrContains(absl::string_view("dxXob"), spec.type);
  const bool is_whole = value.is_whole() && (needs_whole || spec.type == 0);
  if (spec.type == 's' || (needs_whole && value.is_float()) ||
      (is_whole && spec.precision >= 0)) {
    return TemplateError("format() has a format that the number can not have");
  }
  if (spec.type == 0 && spec.precision >= 0) {
    return TemplateError(
        "format() has a precision without a kind, such as f or g");
  }
  if (spec.grouping != 0 && spec.align == '=') {
    return TemplateError(
        "format() has both groups of digits and a fill behind the sign");
  }
  return absl::OkStatus();
}

// The formatting of text.format(arguments).
class BraceFormatter {
 public:
  BraceFormatter(const MarkedText& format, const CallArguments& arguments,
                 RenderBudget* budget)
      : format_(format), arguments_(arguments), budget_(*budget) {}

  absl::StatusOr<TemplateValue> Run();

 private:
  absl::Status WriteField(absl::string_view field);
  absl::StatusOr<TemplateValue> ValueOf(absl::string_view name);
  absl::StatusOr<FormatSpec> ParseSpec(absl::string_view text) const;

  const MarkedText& format_;
  const CallArguments& arguments_;
  RenderBudget& budget_;
  size_t next_ = 0;
  MarkedText text_;
};

absl::StatusOr<TemplateValue> BraceFormatter::Run() {
  const absl::string_view bytes = format_.bytes();
  TANDEM_RETURN_IF_ERROR(budget_.StepBytes(bytes.size()));
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
    text_.Append(format_, at, brace);
    if (brace == bytes.size()) break;
    if (bytes.substr(brace + 1, 1) == bytes.substr(brace, 1)) {
      text_.Append(format_, brace, brace + 1);
      at = brace + 2;
      continue;
    }
    const size_t end = bytes.find('}', brace + 1);
    if (bytes[brace] == '}' || end == absl::string_view::npos) {
      return TemplateError("a format has a single brace");
    }
    const absl::string_view field = bytes.substr(brace + 1, end - brace - 1);
    TANDEM_RETURN_IF_ERROR(WriteField(field));
    TANDEM_RETURN_IF_ERROR(
        budget_.CheckRoom(static_cast<double>(text_.memory_bytes())));
    at = end + 1;
  }
  return budget_.NewText(std::move(text_));
}

absl::StatusOr<TemplateValue> BraceFormatter::ValueOf(absl::string_view name) {
  if (name.find_first_of(".[{") != absl::string_view::npos) {
    return TemplateError("format() takes no attributes, items or inner fields");
  }
  size_t at = 0;
  TANDEM_ASSIGN_OR_RETURN(const int64_t index, ReadCount(name, &at));
  if (at == name.size()) {
    const size_t place = name.empty() ? next_++ : static_cast<size_t>(index);
    if (place < arguments_.positional.size()) {
      return arguments_.positional[place];
    }
    return TemplateError("format() has more fields than arguments");
  }
  TANDEM_RETURN_IF_ERROR(budget_.StepVariables(arguments_.named.size()));
  for (const auto& [argument, value] : arguments_.named) {
    if (argument == name) return value;
  }
  return TemplateError("format() names an argument that is not there");
}

absl::StatusOr<FormatSpec> BraceFormatter::ParseSpec(
    absl::string_view text) const {
  constexpr absl::string_view kAligns = "<>^=";
  FormatSpec spec;
  size_t at = 0;
  const auto is_align = [&text, kAligns](size_t i) {
    return i < text.size() && absl::StrContains(kAligns, text[i]);
  };
  const size_t fill_bytes = text.empty() ? 0 : CharacterBytes(text, 0);
  const bool has_fill = is_align(fill_bytes);
  if (has_fill) {
    // `text` lies within the format.
    const auto begin =
        static_cast<size_t>(text.data() - format_.bytes().data());
    spec.fill = format_.Slice(begin, begin + fill_bytes);
    spec.align = text[fill_bytes];
    at = fill_bytes + 1;
  } else if (is_align(0)) {
    spec.align = text[0];
    at = 1;
  }
  const auto take = [&text, &at](absl::string_view set) -> char {
    const bool is_there = at < text.size() && absl::StrContains(set, text[at]);
    return is_there ? text[at++] : '\0';
  };
  if (const char sign = take("+- "); sign != 0) spec.sign = sign;
  spec.is_alternate = take("#") != 0;
  if (take("0") != 0) {
    spec.is_zero_filled = spec.align == 0;
    if (!has_fill) spec.fill = MarkedText("0", TextMark::kTemplate);
  }
  TANDEM_ASSIGN_OR_RETURN(spec.width, ReadCount(text, &at));
  spec.grouping = take(",_");
  TANDEM_RETURN_IF_ERROR(ReadPrecision(text, &at, &spec));
  spec.type = take("sdxXobeEfFgG%");
  if (at != text.size()) return TemplateError("format() has an unknown format");
  return spec;
}

absl::Status BraceFormatter::WriteField(absl::string_view field) {
  const size_t colon = std::min(field.find(':'), field.size());
  const absl::string_view spec_text =
      colon == field.size() ? "" : field.substr(colon + 1);
  absl::string_view name = field.substr(0, colon);
  const bool is_repr = absl::EndsWith(name, "!r");
  const bool is_str = absl::EndsWith(name, "!s");
  if (is_repr || is_str) name.remove_suffix(2);
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value, ValueOf(name));
  TANDEM_ASSIGN_OR_RETURN(FormatSpec spec, ParseSpec(spec_text));
  absl::StatusOr<MarkedText> text = MarkedText();
  const bool is_own = !is_repr && !is_str && !spec_text.empty();
  if (is_own && value.is_number()) {
    if (spec.is_zero_filled) spec.align = '=';
    TANDEM_RETURN_IF_ERROR(CheckNumberSpec(value, spec));
    text = FormatNumber(value, spec, budget_);
  } else if (is_own && !value.is_text()) {
    return TemplateError(absl::StrCat("format() has a format that ",
                                      KindName(value), " can not have"));
  } else {
    if ((spec.type != 0 && spec.type != 's') || spec.align == '=') {
      return TemplateError("format() has a format for numbers and a text");
    }
    if (spec.align == 0) spec.align = '<';
    TANDEM_ASSIGN_OR_RETURN(MarkedText plain, is_repr ? ReprOf(value, budget_)
                                                      : TextOf(value, budget_));
    text = FormatPlainText(std::move(plain), spec, budget_);
  }
  TANDEM_RETURN_IF_ERROR(text.status());
  text_.Append(*text);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TemplateValue> FormatPercent(const MarkedText& format,
                                            const TemplateValue& value,
                                            RenderBudget& budget) {
  return PercentFormatter(format, value, &budget).Run();
}

absl::StatusOr<TemplateValue> FormatBraces(const MarkedText& format,
                                           const CallArguments& arguments,
                                           RenderBudget& budget) {
  return BraceFormatter(format, arguments, &budget).Run();
}

absl::StatusOr<std::string> FormatTime(absl::string_view format,
                                       const std::tm& time) {
  constexpr absl::string_view kFlags = "-_0^#";
  constexpr absl::string_view kKinds = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY";
  if (format.size() > kTimeFormatBytesMax) {
    return TemplateError(absl::StrCat("a format of a time has more than ",
                                      kTimeFormatBytesMax, " bytes"));
  }
  std::string text;
  size_t at = 0;
  while (at < format.size()) {
    if (format[at] != '%') {
      text.push_back(format[at++]);
      continue;
    }
    size_t end = at + 1;
    while (end < format.size() && absl::StrContains(kFlags, format[end])) ++end;
    const char kind = end < format.size() ? format[end] : '\0';
    const std::string field(format.substr(at, end + 1 - at));
    at = std::min(end + 1, format.size());
    if (kind == '%') {
      text.push_back('%');
    } else if (kind == 'f') {
      text.append("000000");
    } else if (kind == 'z' || kind == 'Z') {
      // The time has no zone.
    } else if (kind != '\0' && absl::StrContains(kKinds, kind)) {
      // The longest field is %c.
      std::array<char, 128> buffer = {};
      text.append(buffer.data(), std::strftime(buffer.data(), buffer.size(),
                                               field.c_str(), &time));
    } else {
      return TemplateError(absl::StrCat("a format of a time has the field '",
                                        CutText(field, 8),
                                        "', which is not known"));
    }
  }
  return text;
}

}  // namespace tandem
