#include "engine/template/value_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/template_object.h"

namespace tandem {
namespace {

using Kind = TemplateValue::Kind;
using ListKind = TemplateValue::ListKind;

constexpr TextMark kPlain = TextMark::kTemplate;

// "\\x1b": the code point in `digits` hexadecimal digits.
std::string Escape(char kind, uint32_t code_point, size_t digits) {
  std::string escape = {'\\', kind};
  for (size_t i = digits; i > 0; --i) {
    escape.push_back("0123456789abcdef"[code_point >> (4 * (i - 1)) & 0xF]);
  }
  return escape;
}

// Appends the repr of values to a text that stays within the budget.
class ReprWriter {
 public:
  explicit ReprWriter(RenderBudget* budget) : budget_(*budget) {}

  absl::Status Write(const TemplateValue& value);
  MarkedText Take() { return std::move(text_); }

 private:
  absl::Status WriteText(const MarkedText& text);
  absl::Status WriteItems(absl::string_view open,
                          absl::Span<const TemplateValue> items,
                          absl::string_view close);
  absl::Status WriteMap(const TemplateValue& map);
  absl::Status WriteList(const TemplateValue& list);
  void WriteRange(const TemplateValue& range);

  RenderBudget& budget_;
  MarkedText text_;
};

absl::Status ReprWriter::WriteText(const MarkedText& text) {
  const std::string& bytes = text.bytes();
  TANDEM_RETURN_IF_ERROR(budget_.StepCharacters(bytes.size()));
  const bool has_single = bytes.find('\'') != std::string::npos;
  const bool has_double = bytes.find('"') != std::string::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  const std::string quotes(1, quote);
  text_.Append(quotes, kPlain);
  RoomChecks checks(&budget_);
  for (size_t i = 0; i < bytes.size();) {
    TANDEM_RETURN_IF_ERROR(checks.Check(i, text_));
    const size_t end = i + CharacterBytes(bytes, i);
    const absl::string_view character =
        absl::string_view(bytes).substr(i, end - i);
    const uint32_t code_point = CodePointOf(character);
    const TextMark mark = text.MarkAt(i);
    if (character == "\\" || character == quotes) {
      text_.Append(absl::StrCat("\\", character), mark);
    } else if (character == "\n") {
      text_.Append("\\n", mark);
    } else if (character == "\r") {
      text_.Append("\\r", mark);
    } else if (character == "\t") {
      text_.Append("\\t", mark);
    } else if (IsPrintable(code_point)) {
      text_.Append(text, i, end);
    } else if (code_point < 0x100) {
      text_.Append(Escape('x', code_point, 2), mark);
    } else if (code_point < 0x10000) {
      text_.Append(Escape('u', code_point, 4), mark);
    } else {
      text_.Append(Escape('U', code_point, 8), mark);
    }
    i = end;
  }
  text_.Append(quotes, kPlain);
  return absl::OkStatus();
}

absl::Status ReprWriter::WriteItems(absl::string_view open,
                                    absl::Span<const TemplateValue> items,
                                    absl::string_view close) {
  text_.Append(open, kPlain);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text_.Append(", ", kPlain);
    TANDEM_RETURN_IF_ERROR(Write(items[i]));
  }
  text_.Append(close, kPlain);
  return absl::OkStatus();
}

void ReprWriter::WriteRange(const TemplateValue& range) {
  const RangeBounds& bounds = range.range();
  text_.Append(absl::StrCat("range(", bounds.start, ", ", bounds.stop), kPlain);
  if (bounds.step != 1) text_.Append(absl::StrCat(", ", bounds.step), kPlain);
  text_.Append(")", kPlain);
}

absl::Status ReprWriter::WriteList(const TemplateValue& list) {
  const absl::Span<const TemplateValue> items = list.items();
  switch (list.list_kind()) {
    case ListKind::kList:
      return WriteItems("[", items, "]");
    case ListKind::kTuple:
    case ListKind::kGroup:
      return WriteItems("(", items, items.size() == 1 ? ",)" : ")");
    case ListKind::kRange:
      WriteRange(list);
      return absl::OkStatus();
    case ListKind::kKeys:
      return WriteItems("dict_keys([", items, "])");
    case ListKind::kValues:
      return WriteItems("dict_values([", items, "])");
    case ListKind::kItems:
      return WriteItems("dict_items([", items, "])");
    case ListKind::kGenerator:
      text_.Append("<generator object>", kPlain);
  }
  return absl::OkStatus();
}

absl::Status ReprWriter::WriteMap(const TemplateValue& map) {
  text_.Append("{", kPlain);
  bool is_first = true;
  for (const auto& [key, value] : map.entries()) {
    if (!is_first) text_.Append(", ", kPlain);
    is_first = false;
    TANDEM_RETURN_IF_ERROR(Write(key));
    text_.Append(": ", kPlain);
    TANDEM_RETURN_IF_ERROR(Write(value));
  }
  text_.Append("}", kPlain);
  return absl::OkStatus();
}

absl::Status ReprWriter::Write(const TemplateValue& value) {
  // Namespaces in namespaces have no depth of their own.
  const RenderBudget::Level level(&budget_);
  TANDEM_RETURN_IF_ERROR(budget_.CheckDepth());
  TANDEM_RETURN_IF_ERROR(
      budget_.CheckRoom(static_cast<double>(text_.memory_bytes())));
  switch (value.kind()) {
    case Kind::kUndefined:
      text_.Append("Undefined", kPlain);
      return absl::OkStatus();
    case Kind::kNone:
      text_.Append("None", kPlain);
      return absl::OkStatus();
    case Kind::kBool:
      text_.Append(value.truth_value() ? "True" : "False", kPlain);
      return absl::OkStatus();
    case Kind::kInteger:
      text_.Append(absl::StrCat(value.integer()), kPlain);
      return absl::OkStatus();
    case Kind::kFloat:
      text_.Append(FloatText(value.float_value()), kPlain);
      return absl::OkStatus();
    case Kind::kText:
      return WriteText(value.text());
    case Kind::kList:
      return WriteList(value);
    case Kind::kMap:
      return WriteMap(value);
    case Kind::kObject: {
      TANDEM_ASSIGN_OR_RETURN(const MarkedText name,
                              value.object()->Print(budget_));
      text_.Append(name);
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

class JsonWriter {
 public:
  JsonWriter(const JsonOptions& options, RenderBudget* budget)
      : options_(options), budget_(*budget) {}

  absl::Status Write(const TemplateValue& value, int level);
  MarkedText Take() { return std::move(text_); }

 private:
  absl::Status WriteText(const MarkedText& text);
  absl::Status WriteKey(const TemplateValue& key);
  absl::Status WriteList(const TemplateValue& list, int level);
  absl::Status WriteMap(const TemplateValue& map, int level);
  void WriteEscaped(uint32_t code_point, TextMark mark);
  void WriteLineEnd(int level);

  const JsonOptions& options_;
  RenderBudget& budget_;
  MarkedText text_;
};

void JsonWriter::WriteLineEnd(int level) {
  if (!options_.has_indent) return;
  text_.Append("\n", kPlain);
  for (int i = 0; i < level; ++i) text_.Append(options_.indent);
}

void JsonWriter::WriteEscaped(uint32_t code_point, TextMark mark) {
  if (code_point < 0x10000) {
    text_.Append(Escape('u', code_point, 4), mark);
    return;
  }
  const uint32_t rest = code_point - 0x10000;
  text_.Append(Escape('u', 0xD800 + (rest >> 10), 4), mark);
  text_.Append(Escape('u', 0xDC00 + (rest & 0x3FF), 4), mark);
}

absl::Status JsonWriter::WriteText(const MarkedText& text) {
  constexpr absl::string_view kFrom = "\"\\\n\r\t\f\b";
  constexpr std::array<const char*, 7> kTo = {"\\\"", "\\\\", "\\n", "\\r",
                                              "\\t",  "\\f",  "\\b"};
  const std::string& bytes = text.bytes();
  TANDEM_RETURN_IF_ERROR(budget_.StepCharacters(bytes.size()));
  text_.Append("\"", kPlain);
  RoomChecks checks(&budget_);
  for (size_t i = 0; i < bytes.size();) {
    TANDEM_RETURN_IF_ERROR(checks.Check(i, text_));
    const size_t end = i + CharacterBytes(bytes, i);
    const size_t escape = kFrom.find(bytes[i]);
    const uint32_t code_point =
        CodePointOf(absl::string_view(bytes).substr(i, end - i));
    if (escape != absl::string_view::npos) {
      text_.Append(kTo[escape], text.MarkAt(i));
    } else if (code_point < 0x20 ||
               (options_.ensure_ascii && code_point > 0x7E)) {
      WriteEscaped(code_point, text.MarkAt(i));
    } else {
      text_.Append(text, i, end);
    }
    i = end;
  }
  text_.Append("\"", kPlain);
  return absl::OkStatus();
}

absl::Status JsonWriter::WriteKey(const TemplateValue& key) {
  if (key.is_text()) return WriteText(key.text());
  if (!key.is_number() && !key.is_none()) {
    return TemplateError(
        absl::StrCat(KindName(key), " can not be a key in JSON"));
  }
  text_.Append("\"", kPlain);
  TANDEM_RETURN_IF_ERROR(Write(key, 0));
  text_.Append("\"", kPlain);
  return absl::OkStatus();
}

absl::Status JsonWriter::WriteList(const TemplateValue& list, int level) {
  if (!list.is_list(ListKind::kList) && !list.is_list(ListKind::kTuple)) {
    return TemplateError(
        "a generator, range or view of a map can not be written as JSON; "
        "|list makes a list of it");
  }
  text_.Append("[", kPlain);
  for (size_t i = 0; i < list.items().size(); ++i) {
    if (i > 0) text_.Append(options_.item_separator);
    WriteLineEnd(level + 1);
    TANDEM_RETURN_IF_ERROR(Write(list.items()[i], level + 1));
  }
  if (!list.items().empty()) WriteLineEnd(level);
  text_.Append("]", kPlain);
  return absl::OkStatus();
}

absl::Status JsonWriter::WriteMap(const TemplateValue& map, int level) {
  std::vector<const TemplateValue::Entry*> entries;
  for (const TemplateValue::Entry& entry : map.entries()) {
    entries.push_back(&entry);
  }
  if (options_.sort_keys) {
    for (const TemplateValue::Entry* entry : entries) {
      if (!entry->first.is_text()) {
        return TemplateError("sort_keys needs keys that are texts");
      }
      // A key is compared about as often as the number of keys has bits.
      TANDEM_RETURN_IF_ERROR(
          budget_.Step(static_cast<int64_t>(std::bit_width(entries.size())) *
                       (1 + static_cast<int64_t>(entry->first.text().size()) /
                                kBytesPerStep)));
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto* left, const auto* right) {
                return left->first.text().bytes() < right->first.text().bytes();
              });
  }
  text_.Append("{", kPlain);
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) text_.Append(options_.item_separator);
    WriteLineEnd(level + 1);
    TANDEM_RETURN_IF_ERROR(WriteKey(entries[i]->first));
    text_.Append(options_.key_separator);
    TANDEM_RETURN_IF_ERROR(Write(entries[i]->second, level + 1));
  }
  if (!entries.empty()) WriteLineEnd(level);
  text_.Append("}", kPlain);
  return absl::OkStatus();
}

absl::Status JsonWriter::Write(const TemplateValue& value, int level) {
  TANDEM_RETURN_IF_ERROR(budget_.Step(1 + level));
  TANDEM_RETURN_IF_ERROR(
      budget_.CheckRoom(static_cast<double>(text_.memory_bytes())));
  switch (value.kind()) {
    case Kind::kNone:
      text_.Append("null", kPlain);
      return absl::OkStatus();
    case Kind::kBool:
      text_.Append(value.truth_value() ? "true" : "false", kPlain);
      return absl::OkStatus();
    case Kind::kInteger:
      text_.Append(absl::StrCat(value.integer()), kPlain);
      return absl::OkStatus();
    case Kind::kFloat: {
      const double number = value.float_value();
      text_.Append(std::isnan(number) ? "NaN"
                   : std::isinf(number)
                       ? (number > 0 ? "Infinity" : "-Infinity")
                       : FloatText(number),
                   kPlain);
      return absl::OkStatus();
    }
    case Kind::kText:
      return WriteText(value.text());
    case Kind::kList:
      return WriteList(value, level);
    case Kind::kMap:
      return WriteMap(value, level);
    default:
      return TemplateError(
          absl::StrCat(KindName(value), " can not be written as JSON"));
  }
}

}  // namespace

std::string FloatText(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  // At most 17 digits, a sign, a point and an exponent of three digits.
  std::array<char, 32> buffer = {};
  const std::to_chars_result end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                    std::chars_format::scientific);
  const absl::string_view shortest(
      buffer.data(), static_cast<size_t>(end.ptr - buffer.data()));
  const size_t exponent_at = shortest.find('e');
  int exponent = 0;
  // SimpleAtoi takes a sign.
  if (!absl::SimpleAtoi(shortest.substr(exponent_at + 1), &exponent)) return "";
  std::string digits;
  for (const char c : shortest.substr(0, exponent_at)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  const absl::string_view sign = std::signbit(number) ? "-" : "";
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    const std::string fraction =
        count > 1 ? absl::StrCat(".", digits.substr(1)) : "";
    return absl::StrFormat("%s%c%se%c%02d", sign, digits[0], fraction,
                           exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return absl::StrCat(sign, "0.",
                        std::string(static_cast<size_t>(-exponent - 1), '0'),
                        digits);
  }
  if (exponent + 1 >= count) {
    digits.append(static_cast<size_t>(exponent + 1 - count), '0');
    return absl::StrCat(sign, digits, ".0");
  }
  const auto point = static_cast<size_t>(exponent + 1);
  return absl::StrCat(sign, digits.substr(0, point), ".", digits.substr(point));
}

absl::StatusOr<MarkedText> TextOf(const TemplateValue& value,
                                  RenderBudget& budget) {
  if (value.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(value.text().size()));
    TANDEM_RETURN_IF_ERROR(
        budget.CheckRoom(static_cast<double>(value.text().memory_bytes())));
    return value.text();
  }
  if (value.is_undefined()) return MarkedText();
  return ReprOf(value, budget);
}

absl::StatusOr<MarkedText> ReprOf(const TemplateValue& value,
                                  RenderBudget& budget) {
  ReprWriter writer(&budget);
  TANDEM_RETURN_IF_ERROR(writer.Write(value));
  return writer.Take();
}

absl::StatusOr<MarkedText> JsonOf(const TemplateValue& value,
                                  const JsonOptions& options,
                                  RenderBudget& budget) {
  // A line end and a level's white space stand before each value.
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
      static_cast<double>(options.indent.size()) * (kValueDepthMax + 1)));
  JsonWriter writer(options, &budget);
  TANDEM_RETURN_IF_ERROR(writer.Write(value, 0));
  return writer.Take();
}

}  // namespace tandem
