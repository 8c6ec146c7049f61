#include "engine/template/text_methods.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/format_text.h"
#include "engine/template/operators.h"
#include "engine/template/text_search.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using ListKind = TemplateValue::ListKind;
using Result = absl::StatusOr<TemplateValue>;

// The one text that a method takes.
absl::StatusOr<const TemplateValue*> OneText(const CallArguments& arguments) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/text"}, 1));
  TANDEM_RETURN_IF_ERROR(NeedText(*bound[0]));
  return bound[0];
}

// Changes of case.

std::string Upper(absl::string_view character, uint32_t /*previous*/) {
  return UpperOf(character);
}
std::string Lower(absl::string_view character, uint32_t /*previous*/) {
  return LowerOf(character);
}
std::string Folded(absl::string_view character, uint32_t /*previous*/) {
  return FoldedOf(character);
}
std::string Title(absl::string_view character, uint32_t previous) {
  return IsCased(previous) ? LowerOf(character) : TitleOf(character);
}
std::string Capital(absl::string_view character, uint32_t previous) {
  return previous == 0 ? TitleOf(character) : LowerOf(character);
}
std::string Swapped(absl::string_view character, uint32_t /*previous*/) {
  return IsUpper(CodePointOf(character)) ? LowerOf(character)
                                         : UpperOf(character);
}

template <std::string (*change)(absl::string_view, uint32_t)>
Result ChangeCase(const TemplateValue& value, const CallArguments& arguments,
                  RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return ChangeCharacters(value.text(), change, budget);
}

// Ends.

template <TextEnds ends>
Result Strip(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/chars"}, 0));
  const MarkedText& text = value.text();
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  std::pair<size_t, size_t> range;
  if (bound[0] == nullptr || bound[0]->is_none()) {
    range = StripSpace(text.bytes(), ends);
  } else {
    TANDEM_RETURN_IF_ERROR(NeedText(*bound[0]));
    const std::string& set = bound[0]->text().bytes();
    // Each character is looked for in the set.
    TANDEM_RETURN_IF_ERROR(
        budget.Step(static_cast<int64_t>(set.size()) / kBytesPerStep *
                    static_cast<int64_t>(text.size())));
    range = StripSet(text.bytes(), set, ends);
  }
  // What is taken away is looked at character by character.
  TANDEM_RETURN_IF_ERROR(
      budget.StepCharacters(text.size() - (range.second - range.first)));
  return budget.NewSlice(text, range.first, range.second);
}

Result RemovePrefix(const TemplateValue& value, const CallArguments& arguments,
                    RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue* prefix, OneText(arguments));
  const MarkedText& text = value.text();
  const size_t size = prefix->text().size();
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(size));
  if (!absl::StartsWith(text.bytes(), prefix->text().bytes())) return value;
  return budget.NewSlice(text, size, text.size());
}

Result RemoveSuffix(const TemplateValue& value, const CallArguments& arguments,
                    RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue* suffix, OneText(arguments));
  const MarkedText& text = value.text();
  const size_t size = suffix->text().size();
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(size));
  if (!absl::EndsWith(text.bytes(), suffix->text().bytes())) return value;
  return budget.NewSlice(text, 0, text.size() - size);
}

// Parts.

struct SplitArguments {
  const TemplateValue* separator = nullptr;  // null: white space
  int64_t splits_max = -1;
};

absl::StatusOr<SplitArguments> BindSplit(const CallArguments& arguments) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"sep", "maxsplit"}, 0));
  SplitArguments split;
  if (bound[0] != nullptr && !bound[0]->is_none()) {
    TANDEM_RETURN_IF_ERROR(NeedText(*bound[0]));
    if (bound[0]->text().empty())
      return TemplateError("the separator is empty");
    split.separator = bound[0];
  }
  if (bound[1] != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(split.splits_max, NeedWhole(*bound[1]));
  }
  return split;
}

absl::Status AddPart(const MarkedText& text, size_t begin, size_t end,
                     std::vector<TemplateValue>* parts, RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(TemplateValue part,
                          budget.NewSlice(text, begin, end));
  parts->push_back(std::move(part));
  return absl::OkStatus();
}

// At white space; none stands in the parts, but for the last one when there are
// no more splits.
Result SplitSpace(const MarkedText& text, int64_t splits_max,
                  RenderBudget& budget) {
  const absl::string_view bytes = text.bytes();
  std::vector<TemplateValue> parts;
  size_t at = 0;
  while (true) {
    at += StripSpace(bytes.substr(at), TextEnds::kLeft).first;
    if (at >= bytes.size()) break;
    size_t end = at;
    if (splits_max >= 0 && static_cast<int64_t>(parts.size()) >= splits_max) {
      end = bytes.size();
    } else {
      while (end < bytes.size() && !IsSpace(CodePointOf(bytes.substr(end)))) {
        end += CharacterBytes(bytes, end);
      }
    }
    TANDEM_RETURN_IF_ERROR(AddPart(text, at, end, &parts, budget));
    if (splits_max >= 0 && static_cast<int64_t>(parts.size()) > splits_max) {
      break;
    }
    at = end;
  }
  return budget.NewList(std::move(parts));
}

Result Split(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const SplitArguments split, BindSplit(arguments));
  if (split.separator == nullptr) {
    TANDEM_RETURN_IF_ERROR(budget.StepCharacters(value.text().size()));
    return SplitSpace(value.text(), split.splits_max, budget);
  }
  return SplitText(value.text(), split.separator->text().bytes(),
                   split.splits_max, budget);
}

Result SplitFromEnd(const TemplateValue& value, const CallArguments& arguments,
                    RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const SplitArguments split, BindSplit(arguments));
  if (split.splits_max < 0) return Split(value, arguments, budget);
  const MarkedText& text = value.text();
  const absl::string_view bytes = text.bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(bytes.size()));
  std::vector<TemplateValue> parts;
  size_t end = bytes.size();
  int64_t splits = 0;
  if (split.separator == nullptr) {
    TANDEM_RETURN_IF_ERROR(budget.StepCharacters(bytes.size()));
    end = StripSpace(bytes, TextEnds::kRight).second;
    for (; splits < split.splits_max && end > 0; ++splits) {
      size_t begin = end;
      while (begin > 0 &&
             StripSpace(bytes.substr(0, begin), TextEnds::kRight).second ==
                 begin) {
        --begin;
        while (begin > 0 && (bytes[begin] & 0xC0) == 0x80) --begin;
      }
      TANDEM_RETURN_IF_ERROR(AddPart(text, begin, end, &parts, budget));
      end = StripSpace(bytes.substr(0, begin), TextEnds::kRight).second;
    }
    if (end > 0) TANDEM_RETURN_IF_ERROR(AddPart(text, 0, end, &parts, budget));
  } else {
    const std::string& separator = split.separator->text().bytes();
    for (; splits < split.splits_max; ++splits) {
      TANDEM_ASSIGN_OR_RETURN(const size_t found, FindLast(bytes.substr(0, end),
                                                           separator, budget));
      if (found == absl::string_view::npos) break;
      TANDEM_RETURN_IF_ERROR(
          AddPart(text, found + separator.size(), end, &parts, budget));
      end = found;
    }
    TANDEM_RETURN_IF_ERROR(AddPart(text, 0, end, &parts, budget));
  }
  std::reverse(parts.begin(), parts.end());
  return budget.NewList(std::move(parts));
}

Result SplitLines(const TemplateValue& value, const CallArguments& arguments,
                  RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"keepends"}, 0));
  const bool keeps_ends = bound[0] != nullptr && IsTrue(*bound[0]);
  const MarkedText& text = value.text();
  const absl::string_view bytes = text.bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepCharacters(bytes.size()));
  std::vector<TemplateValue> lines;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = at + CharacterBytes(bytes, at);
    if (!IsLineEnd(CodePointOf(bytes.substr(at)))) {
      at = end;
      continue;
    }
    const size_t next = bytes.substr(at, 2) == "\r\n" ? at + 2 : end;
    TANDEM_RETURN_IF_ERROR(
        AddPart(text, begin, keeps_ends ? next : at, &lines, budget));
    begin = next;
    at = next;
  }
  if (begin < bytes.size()) {
    TANDEM_RETURN_IF_ERROR(AddPart(text, begin, bytes.size(), &lines, budget));
  }
  return budget.NewList(std::move(lines));
}

template <bool is_last>
Result Partition(const TemplateValue& value, const CallArguments& arguments,
                 RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue* separator, OneText(arguments));
  const MarkedText& text = value.text();
  const std::string& sought = separator->text().bytes();
  if (sought.empty()) return TemplateError("the separator is empty");
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  size_t found = FindBytes(text.bytes(), sought, 0);
  if (is_last) {
    TANDEM_ASSIGN_OR_RETURN(found, FindLast(text.bytes(), sought, budget));
  }
  const bool is_found = found != absl::string_view::npos;
  const size_t none = is_last ? 0 : text.size();
  const size_t begin = is_found ? found : none;
  const size_t end = is_found ? found + sought.size() : none;
  std::vector<TemplateValue> parts;
  TANDEM_RETURN_IF_ERROR(AddPart(text, 0, begin, &parts, budget));
  TANDEM_RETURN_IF_ERROR(AddPart(text, begin, end, &parts, budget));
  TANDEM_RETURN_IF_ERROR(AddPart(text, end, text.size(), &parts, budget));
  return budget.NewList(std::move(parts), ListKind::kTuple);
}

Result Replace(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"/old", "/new", "/count"}, 2));
  TANDEM_RETURN_IF_ERROR(NeedText(*bound[0]));
  TANDEM_RETURN_IF_ERROR(NeedText(*bound[1]));
  int64_t count_max = -1;
  if (bound[2] != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(count_max, NeedWhole(*bound[2]));
  }
  return ReplaceText(value.text(), bound[0]->text(), bound[1]->text(),
                     count_max, budget);
}

Result Join(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/items"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateValue> items,
                          ItemsOf(*bound[0], budget));
  return JoinTexts(value.text(), items, budget);
}

Result Format(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  return FormatBraces(value.text(), arguments, budget);
}

// Widths.

enum class Side { kLeft, kCenter, kRight, kZeros };

template <Side side>
Result Justify(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/width", "/fill"}, 1));
  TANDEM_ASSIGN_OR_RETURN(const int64_t width, NeedWhole(*bound[0]));
  MarkedText fill(side == Side::kZeros ? "0" : " ", TextMark::kTemplate);
  if (bound[1] != nullptr) {
    TANDEM_RETURN_IF_ERROR(NeedText(*bound[1]));
    fill = bound[1]->text();
    if (CountCharacters(fill.bytes()) != 1) {
      return TemplateError("the fill must be one character");
    }
  }
  const MarkedText& text = value.text();
  if (side == Side::kCenter) return CenterText(text, width, fill, budget);
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
      static_cast<double>(text.memory_bytes()) +
      static_cast<double>(width) * static_cast<double>(fill.memory_bytes())));
  const int64_t missing = width - CountCharacters(text.bytes());
  MarkedText padded;
  size_t sign = 0;
  if (side == Side::kZeros && !text.empty()) {
    sign = text.bytes()[0] == '+' || text.bytes()[0] == '-' ? 1 : 0;
  }
  padded.Append(text, 0, side == Side::kLeft ? text.size() : sign);
  for (int64_t i = 0; i < missing; ++i) padded.Append(fill);
  if (side != Side::kLeft) padded.Append(text, sign, text.size());
  return budget.NewText(std::move(padded));
}

// Questions.

bool IsLetterOrDigit(uint32_t code_point) {
  return IsLetter(code_point) || IsNumeric(code_point) || IsDigit(code_point);
}
bool IsAscii(uint32_t code_point) { return code_point < 0x80; }

template <bool (*is_kind)(uint32_t)>
Result AllAre(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  const absl::string_view bytes = value.text().bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepCharacters(bytes.size()));
  for (size_t i = 0; i < bytes.size(); i += CharacterBytes(bytes, i)) {
    if (!is_kind(CodePointOf(bytes.substr(i)))) {
      return TemplateValue::Bool(false);
    }
  }
  return TemplateValue::Bool(!bytes.empty() || is_kind == &IsAscii);
}

// Whether there are cased characters and all of them are of that case.
template <bool (*is_case)(uint32_t)>
Result IsCase(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  const absl::string_view bytes = value.text().bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepCharacters(bytes.size()));
  bool has_cased = false;
  for (size_t i = 0; i < bytes.size(); i += CharacterBytes(bytes, i)) {
    const uint32_t code_point = CodePointOf(bytes.substr(i));
    if (!IsCased(code_point)) continue;
    if (!is_case(code_point)) return TemplateValue::Bool(false);
    has_cased = true;
  }
  return TemplateValue::Bool(has_cased);
}

constexpr TemplateMethod kTextMethods[] = {
    {"capitalize", &ChangeCase<Capital>},
    {"casefold", &ChangeCase<Folded>},
    {"center", &Justify<Side::kCenter>},
    {"format", &Format},
    {"isalnum", &AllAre<IsLetterOrDigit>},
    {"isalpha", &AllAre<IsLetter>},
    {"isascii", &AllAre<IsAscii>},
    {"isdecimal", &AllAre<IsDecimal>},
    {"isdigit", &AllAre<IsDigit>},
    {"islower", &IsCase<IsLower>},
    {"isnumeric", &AllAre<IsNumeric>},
    {"isspace", &AllAre<IsSpace>},
    {"isupper", &IsCase<IsUpper>},
    {"join", &Join},
    {"ljust", &Justify<Side::kLeft>},
    {"lower", &ChangeCase<Lower>},
    {"lstrip", &Strip<TextEnds::kLeft>},
    {"partition", &Partition<false>},
    {"removeprefix", &RemovePrefix},
    {"removesuffix", &RemoveSuffix},
    {"replace", &Replace},
    {"rjust", &Justify<Side::kRight>},
    {"rpartition", &Partition<true>},
    {"rsplit", &SplitFromEnd},
    {"rstrip", &Strip<TextEnds::kRight>},
    {"split", &Split},
    {"splitlines", &SplitLines},
    {"strip", &Strip<TextEnds::kBoth>},
    {"swapcase", &ChangeCase<Swapped>},
    {"title", &ChangeCase<Title>},
    {"upper", &ChangeCase<Upper>},
    {"zfill", &Justify<Side::kZeros>},
};

}  // namespace

MethodFunction FindMethodIn(absl::Span<const TemplateMethod> methods,
                            absl::string_view name) {
  for (const TemplateMethod& method : methods) {
    if (method.name == name) return method.function;
  }
  return nullptr;
}

MethodFunction FindTextMethod(absl::string_view name) {
  const MethodFunction search = FindMethodIn(SearchMethods(), name);
  return search != nullptr ? search : FindMethodIn(kTextMethods, name);
}

absl::StatusOr<TemplateValue> ByMethod(absl::string_view name,
                                       const TemplateValue& value,
                                       const CallArguments& arguments,
                                       RenderBudget& budget) {
  const MethodFunction method = FindTextMethod(name);
  if (method == nullptr) {
    return TemplateError(absl::StrCat("there is no method ", name));
  }
  if (value.is_text()) return method(value, arguments, budget);
  TANDEM_ASSIGN_OR_RETURN(MarkedText text, TextOf(value, budget));
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue as_text,
                          budget.NewText(std::move(text)));
  return method(as_text, arguments, budget);
}

absl::StatusOr<TemplateValue> SplitText(const MarkedText& text,
                                        absl::string_view separator,
                                        int64_t splits_max,
                                        RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  std::vector<TemplateValue> parts;
  size_t at = 0;
  while (splits_max < 0 || static_cast<int64_t>(parts.size()) < splits_max) {
    const size_t found = FindBytes(text.bytes(), separator, at);
    if (found == absl::string_view::npos) break;
    TANDEM_RETURN_IF_ERROR(AddPart(text, at, found, &parts, budget));
    at = found + separator.size();
  }
  TANDEM_RETURN_IF_ERROR(AddPart(text, at, text.size(), &parts, budget));
  return budget.NewList(std::move(parts));
}

absl::StatusOr<TemplateValue> ReplaceText(const MarkedText& text,
                                          const MarkedText& from,
                                          const MarkedText& to,
                                          int64_t count_max,
                                          RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  const std::string& bytes = text.bytes();
  MarkedText replaced;
  size_t at = 0;
  int64_t count = 0;
  size_t found = FindBytes(bytes, from.bytes(), 0);
  while (found != absl::string_view::npos &&
         (count_max < 0 || count < count_max)) {
    TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
        static_cast<double>(replaced.memory_bytes() + to.memory_bytes())));
    // An empty text stands before each character and at the end.
    replaced.Append(text, at, found);
    replaced.Append(to);
    at = found + from.size();
    ++count;
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(to.size()));
    if (from.empty() && found == bytes.size()) break;
    found = from.empty() ? found + CharacterBytes(bytes, found)
                         : FindBytes(bytes, from.bytes(), at);
  }
  TANDEM_RETURN_IF_ERROR(
      budget.CheckRoom(static_cast<double>(replaced.memory_bytes()) +
                       static_cast<double>(text.size() - at)));
  replaced.Append(text, at, text.size());
  return budget.NewText(std::move(replaced));
}

absl::StatusOr<TemplateValue> JoinTexts(const MarkedText& separator,
                                        const std::vector<TemplateValue>& items,
                                        RenderBudget& budget) {
  MarkedText joined;
  for (size_t i = 0; i < items.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(NeedText(items[i]));
    TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
        static_cast<double>(joined.memory_bytes() + separator.memory_bytes() +
                            items[i].text().memory_bytes())));
    if (i > 0) joined.Append(separator);
    joined.Append(items[i].text());
  }
  return budget.NewText(std::move(joined));
}

absl::StatusOr<TemplateValue> CenterText(const MarkedText& text, int64_t width,
                                         const MarkedText& fill,
                                         RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
      static_cast<double>(text.memory_bytes()) +
      static_cast<double>(width) * static_cast<double>(fill.memory_bytes())));
  const int64_t missing =
      std::max<int64_t>(0, width - CountCharacters(text.bytes()));
  // Python's rule: an odd one goes to the left where the width is odd.
  const int64_t left = missing / 2 + (missing & width & 1);
  MarkedText centered;
  for (int64_t i = 0; i < left; ++i) centered.Append(fill);
  centered.Append(text);
  for (int64_t i = left; i < missing; ++i) centered.Append(fill);
  return budget.NewText(std::move(centered));
}

absl::StatusOr<TemplateValue> ChangeCharacters(
    const MarkedText& text,
    std::string (*change)(absl::string_view character, uint32_t previous),
    RenderBudget& budget) {
  const absl::string_view bytes = text.bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepCharacters(bytes.size()));
  MarkedText changed;
  RoomChecks checks(&budget);
  uint32_t previous = 0;
  for (size_t i = 0; i < bytes.size();) {
    TANDEM_RETURN_IF_ERROR(checks.Check(i, changed));
    const size_t end = i + CharacterBytes(bytes, i);
    const absl::string_view character = bytes.substr(i, end - i);
    changed.Append(change(character, previous), text.MarkAt(i));
    previous = CodePointOf(character);
    i = end;
  }
  return budget.NewText(std::move(changed));
}

}  // namespace tandem
