// Methods and filters of texts (builtins.h), as Python and Jinja have them.

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "engine/template/builtins.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/format_text.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Call = BuiltinCall;
using ListKind = Value::ListKind;

// How far a text may be over the length that truncate asks for.
constexpr int64_t kTruncateLeeway = 5;
constexpr size_t kNowhere = absl::string_view::npos;

MarkedText Plain(absl::string_view text) {
  return MarkedText(text, TextMark::kTemplate);
}

// Changes of case.

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
template <std::string (*change)(absl::string_view)>
std::string Each(absl::string_view character, uint32_t /*previous*/) {
  return change(character);
}
// Jinja's |title: a letter that begins the text, or follows white space, a
// hyphen or an opening bracket, is made a capital.
std::string FilterTitle(absl::string_view character, uint32_t previous) {
  const bool is_first = previous == 0 || IsSpace(previous) || previous == '-' ||
                        previous == '(' || previous == '{' || previous == '[' ||
                        previous == '<';
  return is_first ? UpperOf(character) : LowerOf(character);
}

// Each character through `change`, which sees the one before it.
template <std::string (*change)(absl::string_view, uint32_t previous)>
Value ChangeCase(const Call& call) {
  MarkedText text;
  uint32_t previous = 0;
  AppendChanged(
      call.value.text(),
      [&previous](absl::string_view character, std::string* changed) {
        *changed = change(character, previous);
        previous = CodePointOf(character);
        return true;
      },
      call.budget, &text);
  return call.budget.NewText(std::move(text));
}

// Ends.

template <TextEnds ends>
Value Strip(const Call& call) {
  const MarkedText& text = call.value.text();
  call.budget.StepBytes(text.size());
  std::pair<size_t, size_t> range;
  if (!call.Has(0)) {
    range = StripSpace(text.bytes(), ends);
  } else {
    // Each character is looked for in the set.
    const std::string& set = call.TextAt(0).bytes();
    call.budget.Step(set.size() / kBytesPerStep * text.size());
    if (!call.budget.Check()) return {};
    range = StripSet(text.bytes(), set, ends);
  }
  // What is taken away is looked at character by character.
  call.budget.StepCharacters(text.size() - (range.second - range.first));
  return call.budget.NewSlice(text, range.first, range.second);
}

template <bool is_prefix>
Value RemoveEnd(const Call& call) {
  const MarkedText& text = call.value.text();
  const MarkedText& end = call.TextAt(0);
  call.budget.StepBytes(end.size());
  if (!(is_prefix ? absl::StartsWith(text.bytes(), end.bytes())
                  : absl::EndsWith(text.bytes(), end.bytes()))) {
    return call.value;
  }
  const size_t begin = is_prefix ? end.size() : 0;
  return call.budget.NewSlice(text, begin, begin + text.size() - end.size());
}

// Parts.

using Ranges = std::vector<std::pair<size_t, size_t>>;

// Appends [begin, end) where there is room for it.
void AddRange(size_t begin, size_t end, RenderBudget& budget, Ranges* ranges) {
  if (budget.CheckRoom(ranges->size() + 1, sizeof((*ranges)[0]))) {
    ranges->emplace_back(begin, end);
  }
}

Value Slices(const Call& call, const Ranges& ranges,
             ListKind kind = ListKind::kList) {
  std::vector<Value> parts;
  for (const auto& [begin, end] : ranges) {
    if (!call.budget.ok()) return {};
    parts.push_back(call.budget.NewSlice(call.value.text(), begin, end));
  }
  return call.budget.NewList(std::move(parts), kind);
}

// What stands between the first `splits_max` separators, or the last ones.
template <bool is_last>
Ranges SplitAt(absl::string_view text, absl::string_view separator,
               size_t splits_max, RenderBudget& budget) {
  Ranges parts;
  size_t begin = 0;
  size_t end = text.size();
  while (parts.size() < splits_max && budget.ok()) {
    const size_t found = is_last
                             ? FindLast(text.substr(0, end), separator, budget)
                             : FindBytes(text, separator, begin);
    if (found == kNowhere) break;
    const size_t after = found + separator.size();
    AddRange(is_last ? after : begin, is_last ? end : found, budget, &parts);
    (is_last ? end : begin) = is_last ? found : after;
  }
  AddRange(begin, end, budget, &parts);
  if (is_last) std::reverse(parts.begin(), parts.end());
  return parts;
}

// The parts between white space. Beyond `splits_max` the rest is one part, with
// the white space in it and at that end of the text.
Ranges SplitAtSpace(absl::string_view text, size_t splits_max, bool is_last,
                    RenderBudget& budget) {
  Ranges words;
  size_t at = 0;
  while (budget.ok()) {
    at += StripSpace(text.substr(at), TextEnds::kLeft).first;
    if (at == text.size()) break;
    const size_t begin = at;
    while (at < text.size() && !IsSpace(CodePointOf(text.substr(at)))) {
      at += CharacterBytes(text, at);
    }
    AddRange(begin, at, budget, &words);
  }
  if (words.size() <= splits_max) return words;
  if (is_last) {
    words.erase(words.begin(), words.end() - 1 - splits_max);
    words[0].first = 0;
  } else {
    words.resize(splits_max + 1);
    words.back().second = text.size();
  }
  return words;
}

template <bool is_last>
Value Split(const Call& call) {
  const absl::string_view text = call.value.text().bytes();
  const int64_t given = call.WholeAt(1, -1);
  // A text has fewer places than that.
  const size_t splits_max =
      given < 0 ? text.size() + 1
                : std::min(static_cast<size_t>(given), text.size() + 1);
  Ranges parts;
  if (!call.Has(0)) {
    call.budget.StepCharacters(text.size());
    parts = SplitAtSpace(text, splits_max, is_last, call.budget);
  } else {
    const std::string& separator = call.TextAt(0).bytes();
    if (separator.empty()) return call.budget.Fail("the separator is empty");
    call.budget.StepBytes(text.size());
    parts = is_last && given >= 0
                ? SplitAt<true>(text, separator, splits_max, call.budget)
                : SplitAt<false>(text, separator, splits_max, call.budget);
  }
  return Slices(call, parts);
}

Ranges LinesOf(absl::string_view text, bool keeps_ends, RenderBudget& budget) {
  budget.StepCharacters(text.size());
  Ranges lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size() && budget.ok();) {
    size_t next = at + CharacterBytes(text, at);
    if (IsLineEnd(CodePointOf(text.substr(at)))) {
      if (text.substr(at, 2) == "\r\n") next = at + 2;
      AddRange(begin, keeps_ends ? next : at, budget, &lines);
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) AddRange(begin, text.size(), budget, &lines);
  return lines;
}

Value SplitLines(const Call& call) {
  return Slices(
      call, LinesOf(call.value.text().bytes(), call.IsTrueAt(0), call.budget));
}

template <bool is_last>
Value Partition(const Call& call) {
  const std::string& text = call.value.text().bytes();
  const std::string& sought = call.TextAt(0).bytes();
  if (sought.empty()) return call.budget.Fail("the separator is empty");
  call.budget.StepBytes(text.size());
  const size_t found = is_last ? FindLast(text, sought, call.budget)
                               : FindBytes(text, sought, 0);
  const size_t none = is_last ? 0 : text.size();
  const size_t begin = found == kNowhere ? none : found;
  const size_t end = found == kNowhere ? none : found + sought.size();
  return Slices(call, {{0, begin}, {begin, end}, {end, text.size()}},
                ListKind::kTuple);
}

// `from` becomes `to` at most `count_max` times, unless that is negative.
Value ReplaceIn(const Call& call, const MarkedText& from,
                const MarkedText& to) {
  const MarkedText& text = call.value.text();
  const std::string& bytes = text.bytes();
  const int64_t count_max = call.WholeAt(2, -1);
  RenderBudget& budget = call.budget;
  budget.StepBytes(bytes.size());
  MarkedText replaced;
  size_t at = 0;
  size_t found = FindBytes(bytes, from.bytes(), 0);
  for (int64_t count = 0;
       found != kNowhere && (count_max < 0 || count < count_max); ++count) {
    // An empty text stands before each character and at the end.
    replaced.Append(text, at, found);
    if (!budget.Append(to, &replaced)) return {};
    at = found + from.size();
    budget.StepBytes(to.size());
    if (from.empty() && found == bytes.size()) break;
    found = from.empty() ? found + CharacterBytes(bytes, found)
                         : FindBytes(bytes, from.bytes(), at);
  }
  if (!budget.CheckRoom(replaced.memory_bytes() + text.size() - at)) return {};
  replaced.Append(text, at, text.size());
  return budget.NewText(std::move(replaced));
}

Value Replace(const Call& call) {
  return ReplaceIn(call, call.TextAt(0), call.TextAt(1));
}

Value FilterReplace(const Call& call) {
  const MarkedText from = TextOf(*call.bound[0], call.budget);
  return ReplaceIn(call, from, TextOf(*call.bound[1], call.budget));
}

Value Join(const Call& call) {
  return JoinTexts(call.value.text(), ItemsOf(*call.bound[0], call.budget),
                   call.budget);
}

Value Format(const Call& call) {
  return FormatBraces(call.value.text(), call.arguments, call.budget);
}

Value FilterFormat(const Call& call) {
  const CallArguments& arguments = call.arguments;
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    return call.budget.Fail("takes named arguments or others, not both");
  }
  std::vector<Value::Entry> entries;
  for (const auto& [name, argument] : arguments.named) {
    entries.emplace_back(Value::Text(name), argument);
  }
  const Value values =
      entries.empty()
          ? call.budget.NewList(arguments.positional, ListKind::kTuple)
          : call.budget.NewMap(std::move(entries));
  return FormatPercent(call.value.text(), values, call.budget);
}

// Widths.

enum class Side { kLeft, kCenter, kRight, kZeros };

template <Side side>
Value Justify(const Call& call) {
  const MarkedText& text = call.value.text();
  const int64_t width = call.WholeAt(0, 80);
  const bool has_fill = call.bound.size() > 1 && call.Has(1);
  const MarkedText fill =
      has_fill ? call.TextAt(1) : Plain(side == Side::kZeros ? "0" : " ");
  if (CountCharacters(fill.bytes()) != 1) {
    return call.budget.Fail("the fill must be one character");
  }
  const int64_t missing =
      std::max<int64_t>(0, width - CountCharacters(text.bytes()));
  int64_t left = side == Side::kLeft ? 0 : missing;
  // Python's rule: an odd one goes to the left where the width is odd.
  if (side == Side::kCenter) left = missing / 2 + (missing & width & 1);
  const bool has_sign =
      side == Side::kZeros && text.bytes().find_first_of("+-") == 0;
  return call.budget.NewText(PadText(text,
                                     {.fill = fill,
                                      .before = left,
                                      .after = missing - left,
                                      .lead = has_sign ? size_t{1} : 0},
                                     call.budget));
}

// Lines that are indented, but for the first one and empty ones.
Value Indent(const Call& call) {
  RenderBudget& budget = call.budget;
  const MarkedText indent = IndentAt(call, 0, 4);
  MarkedText text;
  budget.Append(call.value.text(), &text);
  // With this a line end at the end of the text begins a last line.
  text.Append("\n", TextMark::kTemplate);
  const Ranges lines = LinesOf(text.bytes(), false, budget);
  MarkedText indented;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto [begin, end] = lines[i];
    budget.StepBytes(end - begin);
    if (i > 0) indented.Append("\n", TextMark::kTemplate);
    if (i == 0 ? call.IsTrueAt(1) : call.IsTrueAt(2) || begin < end) {
      budget.Append(indent, &indented);
    }
    if (!budget.CheckRoom(indented.memory_bytes() + end - begin)) return {};
    indented.Append(text, begin, end);
  }
  return budget.NewText(std::move(indented));
}

Value Truncate(const Call& call) {
  const MarkedText& text = call.value.text();
  const int64_t length = call.WholeAt(0, 255);
  const int64_t leeway = call.WholeAt(3, kTruncateLeeway);
  MarkedText end = Plain("...");
  if (call.Has(2)) end = TextOf(*call.bound[2], call.budget);
  const int64_t end_length = CountCharacters(end.bytes());
  if (length < end_length || leeway < 0) {
    return call.budget.Fail("the length is less than that of the end");
  }
  call.budget.StepBytes(text.size());
  if (CountCharacters(text.bytes()) - leeway <= length) return call.value;
  size_t cut = CharacterOffset(text.bytes(), length - end_length);
  if (!call.IsTrueAt(1)) {
    const size_t space =
        absl::string_view(text.bytes()).substr(0, cut).rfind(' ');
    if (space != kNowhere) cut = space;
  }
  MarkedText truncated = text.Slice(0, cut);
  call.budget.Append(end, &truncated);
  return call.budget.NewText(std::move(truncated));
}

Value WordCount(const Call& call) {
  const absl::string_view bytes = call.value.text().bytes();
  call.budget.StepCharacters(bytes.size());
  int64_t words = 0;
  bool is_in_word = false;
  for (size_t i = 0; i < bytes.size(); i += CharacterBytes(bytes, i)) {
    const uint32_t code_point = CodePointOf(bytes.substr(i));
    const bool is_word =
        code_point == '_' || IsLetter(code_point) || IsNumeric(code_point);
    words += is_word && !is_in_word ? 1 : 0;
    is_in_word = is_word;
  }
  return Value::Integer(words);
}

// Questions.

bool IsLetterOrDigit(uint32_t code_point) {
  return IsLetter(code_point) || IsNumeric(code_point) || IsDigit(code_point);
}
bool IsAscii(uint32_t code_point) { return code_point < 0x80; }

template <bool (*is_kind)(uint32_t code_point)>
Value AllAre(const Call& call) {
  const absl::string_view bytes = call.value.text().bytes();
  call.budget.StepCharacters(bytes.size());
  bool are_all = !bytes.empty() || is_kind == &IsAscii;
  for (size_t i = 0; i < bytes.size(); i += CharacterBytes(bytes, i)) {
    are_all = are_all && is_kind(CodePointOf(bytes.substr(i)));
  }
  return Value::Bool(are_all);
}

// Search.

// What a search is made in: a text between two places, as in a slice.
struct Window {
  absl::string_view text;
  int64_t start = 0;  // characters before it
  // The start lies behind the end: not even an empty text is there.
  bool is_reversed = false;
};

Window WindowOf(const Call& call) {
  Window window = {.text = call.value.text().bytes()};
  const absl::string_view text = window.text;
  call.budget.StepBytes(text.size());
  if (!call.Has(1) && !call.Has(2)) return window;
  const int64_t count = CountCharacters(text);
  const auto place = [count](int64_t index) {
    return index < 0 ? std::max<int64_t>(0, index + count) : index;
  };
  window.start = place(call.WholeAt(1, 0));
  const int64_t stop = std::min(count, place(call.WholeAt(2, count)));
  window.is_reversed = window.start > stop;
  const size_t begin = CharacterOffset(text, window.start);
  window.text = window.is_reversed
                    ? absl::string_view()
                    : text.substr(begin, CharacterOffset(text, stop) - begin);
  return window;
}

template <bool is_prefix>
Value HasEnd(const Call& call) {
  const Window window = WindowOf(call);
  const absl::Span<const Value> ends =
      call.bound[0]->is_list(ListKind::kTuple)
          ? call.bound[0]->items()
          : absl::MakeConstSpan(call.bound[0], 1);
  for (const Value& end : ends) {
    if (!NeedText(end, call.budget)) return {};
    const std::string& bytes = end.text().bytes();
    call.budget.StepBytes(bytes.size());
    if (!call.budget.Check()) return {};
    if (!window.is_reversed &&
        (is_prefix ? absl::StartsWith(window.text, bytes)
                   : absl::EndsWith(window.text, bytes))) {
      return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}

template <bool is_last, bool must_be_there>
Value Find(const Call& call) {
  const std::string& part = call.TextAt(0).bytes();
  const Window window = WindowOf(call);
  const size_t found = is_last ? FindLast(window.text, part, call.budget)
                               : FindBytes(window.text, part, 0);
  if (found != kNowhere && !window.is_reversed) {
    return Value::Integer(window.start +
                          CountCharacters(window.text.substr(0, found)));
  }
  if (must_be_there) return call.budget.Fail("the text is not found");
  return Value::Integer(-1);
}

Value Count(const Call& call) {
  const std::string& part = call.TextAt(0).bytes();
  const Window window = WindowOf(call);
  if (window.is_reversed) return Value::Integer(0);
  if (part.empty()) {
    return Value::Integer(CountCharacters(window.text) + 1);
  }
  int64_t count = 0;
  for (size_t at = FindBytes(window.text, part, 0); at != kNowhere;
       at = FindBytes(window.text, part, at + part.size())) {
    ++count;
  }
  return Value::Integer(count);
}

constexpr Builtin kTextMethods[] = {
    {"capitalize", {}, 0, &ChangeCase<Capital>},
    {"casefold", {}, 0, &ChangeCase<Each<FoldedOf>>},
    {"center", {"/#width", "/$fill"}, 1, &Justify<Side::kCenter>},
    {"count", {"/$text", "/?#start", "/?#end"}, 1, &Count},
    {"endswith", {"/text", "/?#start", "/?#end"}, 1, &HasEnd<false>},
    {"find", {"/$text", "/?#start", "/?#end"}, 1, &Find<false, false>},
    {"format", {kAnyArguments}, 0, &Format},
    {"index", {"/$text", "/?#start", "/?#end"}, 1, &Find<false, true>},
    {"isalnum", {}, 0, &AllAre<IsLetterOrDigit>},
    {"isalpha", {}, 0, &AllAre<IsLetter>},
    {"isascii", {}, 0, &AllAre<IsAscii>},
    {"isdecimal", {}, 0, &AllAre<IsDecimal>},
    {"isdigit", {}, 0, &AllAre<IsDigit>},
    {"islower", {}, 0, &AreInCase<IsLower>},
    {"isnumeric", {}, 0, &AllAre<IsNumeric>},
    {"isspace", {}, 0, &AllAre<IsSpace>},
    {"isupper", {}, 0, &AreInCase<IsUpper>},
    {"join", {"/items"}, 1, &Join},
    {"ljust", {"/#width", "/$fill"}, 1, &Justify<Side::kLeft>},
    {"lower", {}, 0, &ChangeCase<Each<LowerOf>>},
    {"lstrip", {"/?$chars"}, 0, &Strip<TextEnds::kLeft>},
    {"partition", {"/$text"}, 1, &Partition<false>},
    {"removeprefix", {"/$text"}, 1, &RemoveEnd<true>},
    {"removesuffix", {"/$text"}, 1, &RemoveEnd<false>},
    {"replace", {"/$old", "/$new", "/#count"}, 2, &Replace},
    {"rfind", {"/$text", "/?#start", "/?#end"}, 1, &Find<true, false>},
    {"rindex", {"/$text", "/?#start", "/?#end"}, 1, &Find<true, true>},
    {"rjust", {"/#width", "/$fill"}, 1, &Justify<Side::kRight>},
    {"rpartition", {"/$text"}, 1, &Partition<true>},
    {"rsplit", {"?$sep", "#maxsplit"}, 0, &Split<true>},
    {"rstrip", {"/?$chars"}, 0, &Strip<TextEnds::kRight>},
    {"split", {"?$sep", "#maxsplit"}, 0, &Split<false>},
    {"splitlines", {"keepends"}, 0, &SplitLines},
    {"startswith", {"/text", "/?#start", "/?#end"}, 1, &HasEnd<true>},
    {"strip", {"/?$chars"}, 0, &Strip<TextEnds::kBoth>},
    {"swapcase", {}, 0, &ChangeCase<Swapped>},
    {"title", {}, 0, &ChangeCase<Title>},
    {"upper", {}, 0, &ChangeCase<Each<UpperOf>>},
    {"zfill", {"/#width"}, 1, &Justify<Side::kZeros>},
};

constexpr Builtin kTextFilters[] = {
    {"capitalize", {}, 0, &ChangeCase<Capital>, true},
    {"center", {"?#width"}, 0, &Justify<Side::kCenter>, true},
    {"format", {kAnyArguments}, 0, &FilterFormat, true},
    {"indent", {"?width", "first", "blank"}, 0, &Indent, true},
    {"lower", {}, 0, &ChangeCase<Each<LowerOf>>, true},
    {"replace", {"old", "new", "?#count"}, 2, &FilterReplace, true},
    {"title", {}, 0, &ChangeCase<FilterTitle>, true},
    {"trim", {"?$chars"}, 0, &Strip<TextEnds::kBoth>, true},
    {"truncate",
     {"?#length", "killwords", "end", "?#leeway"},
     0,
     &Truncate,
     true},
    {"upper", {}, 0, &ChangeCase<Each<UpperOf>>, true},
    {"wordcount", {}, 0, &WordCount, true},
};

}  // namespace

absl::Span<const Builtin> TextMethods() { return kTextMethods; }
absl::Span<const Builtin> TextFilters() { return kTextFilters; }

size_t FindLast(absl::string_view text, absl::string_view part,
                RenderBudget& budget) {
  // Each place of the text may be compared with the whole part.
  budget.Step((1 + text.size() / kBytesPerStep) *
              (1 + part.size() / kBytesPerStep));
  return budget.Check() ? text.rfind(part) : kNowhere;
}

}  // namespace tandem
