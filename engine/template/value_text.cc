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
#include "engine/template/characters.h"
#include "engine/template/operators.h"
#include "engine/template/template_object.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Kind = Value::Kind;
using ListKind = Value::ListKind;

// The code point in hexadecimal digits after a backslash.
std::string Escape(uint32_t code_point, bool is_json) {
  if (is_json && code_point >= 0x10000) {
    const uint32_t rest = code_point - 0x10000;
    return absl::StrFormat("\\u%04x\\u%04x", 0xD800 + (rest >> 10),
                           0xDC00 + (rest & 0x3FF));
  }
  if (code_point >= 0x10000) return absl::StrFormat("\\U%08x", code_point);
  return is_json || code_point >= 0x100
             ? absl::StrFormat("\\u%04x", code_point)
             : absl::StrFormat("\\x%02x", code_point);
}

// Appends values to a text that stays within the budget: as JSON, or as their
// repr where there are no options for JSON.
class ValueWriter {
 public:
  ValueWriter(const JsonOptions* json, RenderBudget* budget)
      : json_(json), budget_(*budget) {}

  // `level`: lists and maps around the value.
  void Write(const Value& value, int level);
  MarkedText Take() { return std::move(text_); }

 private:
  void WriteText(const MarkedText& text);
  void WriteItems(absl::string_view open, absl::Span<const Value> items,
                  absl::string_view close, int level);
  void WriteList(const Value& list, int level);
  std::vector<const Value::Entry*> EntriesOf(const Value& map);
  void WriteKey(const Value& key, int level);
  void WriteMap(const Value& map, int level);
  void WriteLineEnd(int level);
  void WriteSeparator() {
    text_.Append(json_ != nullptr ? json_->item_separator : separator_);
  }
  // One for repr, one for JSON.
  void Put(absl::string_view repr, absl::string_view json) {
    text_.Append(json_ != nullptr ? json : repr, TextMark::kTemplate);
  }
  void Put(absl::string_view text) { Put(text, text); }

  const JsonOptions* const json_;
  RenderBudget& budget_;
  const MarkedText separator_{", ", TextMark::kTemplate};
  MarkedText text_;
};

void ValueWriter::WriteText(const MarkedText& text) {
  const bool is_json = json_ != nullptr;
  const bool has_single = text.bytes().find('\'') != std::string::npos;
  const bool has_double = text.bytes().find('"') != std::string::npos;
  const char quote = is_json || (has_single && !has_double) ? '"' : '\'';
  // Those that are escaped by a letter, and the letters.
  const absl::string_view from = is_json ? "\\\n\r\t\f\b" : "\\\n\r\t";
  const absl::string_view to = "\\nrtfb";
  const uint32_t highest = is_json && json_->ensure_ascii ? 0x7E : 0x10FFFF;
  const auto change = [&](absl::string_view character, std::string* changed) {
    const uint32_t code_point = CodePointOf(character);
    const size_t place = from.find(character[0]);
    if (character[0] == quote) {
      *changed = absl::StrCat("\\", character);
    } else if (place != absl::string_view::npos) {
      *changed = absl::StrCat("\\", to.substr(place, 1), character.substr(1));
    } else if (is_json ? code_point >= 0x20 && code_point <= highest
                       : IsPrintable(code_point)) {
      return false;
    } else {
      *changed = Escape(code_point, is_json);
    }
    return true;
  };
  text_.Append({&quote, 1}, TextMark::kTemplate);
  AppendChanged(text, change, budget_, &text_);
  text_.Append({&quote, 1}, TextMark::kTemplate);
}

void ValueWriter::WriteLineEnd(int level) {
  if (json_ == nullptr || !json_->has_indent) return;
  text_.Append("\n", TextMark::kTemplate);
  for (int i = 0; i < level; ++i) text_.Append(json_->indent);
}

void ValueWriter::WriteItems(absl::string_view open,
                             absl::Span<const Value> items,
                             absl::string_view close, int level) {
  text_.Append(open, TextMark::kTemplate);
  for (size_t i = 0; i < items.size() && budget_.ok(); ++i) {
    if (i > 0) WriteSeparator();
    WriteLineEnd(level + 1);
    Write(items[i], level + 1);
  }
  if (!items.empty()) WriteLineEnd(level);
  Put(close);
}

void ValueWriter::WriteList(const Value& list, int level) {
  const absl::Span<const Value> items = list.items();
  const ListKind kind = list.list().kind;
  if (json_ != nullptr && kind != ListKind::kList && kind != ListKind::kTuple) {
    budget_.Fail(
        "a generator, range or view of a map can not be written as JSON; "
        "|list makes a list of it");
  }
  switch (kind) {
    case ListKind::kTuple:
      if (json_ == nullptr) {
        return WriteItems("(", items, items.size() == 1 ? ",)" : ")", level);
      }
      [[fallthrough]];
    case ListKind::kList:
      return WriteItems("[", items, "]", level);
    case ListKind::kRange: {
      const RangeBounds& bounds = list.list().range;
      const std::string step =
          bounds.step == 1 ? "" : absl::StrCat(", ", bounds.step);
      return Put(
          absl::StrCat("range(", bounds.start, ", ", bounds.stop, step, ")"));
    }
    case ListKind::kKeys:
      return WriteItems("dict_keys([", items, "])", level);
    case ListKind::kValues:
      return WriteItems("dict_values([", items, "])", level);
    case ListKind::kItems:
      return WriteItems("dict_items([", items, "])", level);
    case ListKind::kGenerator:
      return Put("<generator object>");
  }
}

// The entries of `map`, in order where the options ask for it.
std::vector<const Value::Entry*> ValueWriter::EntriesOf(const Value& map) {
  std::vector<const Value::Entry*> entries;
  for (const Value::Entry& entry : map.entries()) {
    entries.push_back(&entry);
  }
  if (json_ == nullptr || !json_->sort_keys) return entries;
  for (const Value::Entry* entry : entries) {
    if (!entry->first.is_text()) {
      return budget_.Fail("sort_keys needs keys that are texts");
    }
    // A key is compared about as often as the number of keys has bits.
    budget_.Step(static_cast<size_t>(std::bit_width(entries.size())) *
                 (1 + entry->first.text().size() / kBytesPerStep));
  }
  if (!budget_.Check()) return {};
  std::sort(entries.begin(), entries.end(),
            [](const auto* left, const auto* right) {
              return left->first.text().bytes() < right->first.text().bytes();
            });
  return entries;
}

void ValueWriter::WriteKey(const Value& key, int level) {
  const bool is_quoted = json_ != nullptr && !key.is_text();
  if (is_quoted && !key.is_number() && !key.is_none()) {
    budget_.Fail(KindName(key), " can not be a key in JSON");
  }
  const absl::string_view quote = is_quoted ? "\"" : "";
  text_.Append(quote, TextMark::kTemplate);
  Write(key, level);
  Put(quote);
}

void ValueWriter::WriteMap(const Value& map, int level) {
  const auto entries = EntriesOf(map);
  text_.Append("{", TextMark::kTemplate);
  for (size_t i = 0; i < entries.size() && budget_.ok(); ++i) {
    if (i > 0) WriteSeparator();
    WriteLineEnd(level + 1);
    WriteKey(entries[i]->first, level + 1);
    if (json_ != nullptr) {
      text_.Append(json_->key_separator);
    } else {
      text_.Append(": ", TextMark::kTemplate);
    }
    Write(entries[i]->second, level + 1);
  }
  if (!entries.empty()) WriteLineEnd(level);
  Put("}");
}

void ValueWriter::Write(const Value& value, int level) {
  // Namespaces in namespaces have no depth of their own.
  const RenderBudget::Level deeper(&budget_);
  budget_.Step(static_cast<size_t>(level));
  if (!budget_.CheckDepth() || !budget_.CheckRoom(text_.memory_bytes())) return;
  if (json_ != nullptr && (value.is_undefined() || value.is_object())) {
    budget_.Fail(KindName(value), " can not be written as JSON");
  }
  switch (value.kind()) {
    case Kind::kUndefined:
      return Put("Undefined");
    case Kind::kNone:
      return Put("None", "null");
    case Kind::kBool:
      return value.whole() != 0 ? Put("True", "true") : Put("False", "false");
    case Kind::kInteger:
      return Put(absl::StrCat(value.whole()));
    case Kind::kFloat: {
      const double number = value.number();
      const std::string text = FloatText(number);
      if (std::isfinite(number)) return Put(text);
      const absl::string_view infinity = number > 0 ? "Infinity" : "-Infinity";
      return Put(text, std::isnan(number) ? "NaN" : infinity);
    }
    case Kind::kText:
      return WriteText(value.text());
    case Kind::kList:
      return WriteList(value, level);
    case Kind::kMap:
      return WriteMap(value, level);
    case Kind::kObject:
      text_.Append(ObjectOf(value)->Print(budget_));
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

MarkedText TextOf(const Value& value, RenderBudget& budget) {
  MarkedText text;
  if (value.is_undefined()) return text;
  if (!value.is_text()) return ReprOf(value, budget);
  budget.StepBytes(value.text().size());
  budget.Append(value.text(), &text);
  return text;
}

MarkedText ReprOf(const Value& value, RenderBudget& budget) {
  ValueWriter writer(nullptr, &budget);
  writer.Write(value, 0);
  return writer.Take();
}

MarkedText JsonOf(const Value& value, const JsonOptions& options,
                  RenderBudget& budget) {
  // A line end and a level's white space stand before each value.
  if (!budget.CheckRoom(options.indent.size(), kValueDepthMax + 1)) return {};
  ValueWriter writer(&options, &budget);
  writer.Write(value, 0);
  return writer.Take();
}

void AppendChanged(
    const MarkedText& from,
    absl::FunctionRef<bool(absl::string_view character, std::string* changed)>
        change,
    RenderBudget& budget, MarkedText* text) {
  const absl::string_view bytes = from.bytes();
  budget.StepCharacters(bytes.size());
  std::string changed;
  size_t kept = 0;  // where characters begin that stay and are not appended
  size_t next_check = 0;
  for (size_t i = 0, end = 0; i < bytes.size(); i = end) {
    if (i >= next_check) {
      if (!budget.CheckRoom(text->memory_bytes() + i - kept)) return;
      next_check = i + kBytesBetweenChecks;
    }
    end = i + CharacterBytes(bytes, i);
    changed.clear();
    if (!change(bytes.substr(i, end - i), &changed)) continue;
    text->Append(from, kept, i);
    text->Append(changed, from.MarkAt(i));
    kept = end;
  }
  text->Append(from, kept, bytes.size());
}

}  // namespace tandem
