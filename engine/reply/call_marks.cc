#include "engine/reply/call_marks.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/reply/channel_names.h"
#include "engine/reply/mark_pattern.h"

namespace tandem {
namespace {

constexpr char kNameBegin[] = R"({"name": ")";
constexpr char kArgumentsBegin[] = R"(", "arguments": )";
// Bytes before a name that its marks may have, and of a call in an error.
constexpr size_t kMarkBytesMax = 256;
constexpr size_t kExcerptBytesMax = 80;

absl::Status UnsupportedTools(absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonUnsupportedTools}, message);
}

// A list of objects in JSON after `begin`.
CallMarks ListMarks(std::string begin) {
  return {.section_begin = absl::StrCat(begin, "["),
          .name_begin = kNameBegin,
          .arguments_begin = kArgumentsBegin,
          .id_begin = R"(, "id": ")",
          .call_end = "}",
          .separator = ", ",
          .section_end = "]",
          .trigger = std::move(begin)};
}

CallMarks DeepSeekMarks(absl::string_view kind, std::string arguments_begin,
                        absl::string_view arguments_end,
                        std::string separator) {
  return {.section_begin = "<｜tool▁calls▁begin｜>",
          .name_begin = absl::StrCat("<｜tool▁call▁begin｜>", kind),
          .arguments_begin = std::move(arguments_begin),
          .call_end = absl::StrCat(arguments_end, "<｜tool▁call▁end｜>"),
          .separator = std::move(separator),
          .section_end = "<｜tool▁calls▁end｜>",
          .trigger = "<｜tool▁calls▁begin｜>"};
}

// A message to a function; `type` is that of its content. Its name stands
// before the channel or in it.
std::vector<KnownCalls> HarmonyCalls(absl::string_view type) {
  const auto known = [](std::string name_begin, std::string arguments_begin) {
    return KnownCalls{.name = kHarmony,
                      .marks = {.name_begin = name_begin,
                                .arguments_begin = std::move(arguments_begin),
                                .call_end = std::string(kCallMark),
                                .trigger = name_begin,
                                .is_at_start = true,
                                .calls_max = 1}};
  };
  const std::string to = absl::StrCat(kRecipient, kFunctions);
  const std::string channel = absl::StrCat(kChannelMark, kCommentary);
  const std::string rest = absl::StrCat(type, kMessageMark);
  return {known(to, channel + rest), known(channel + to, rest)};
}

std::vector<KnownCalls> MakeKnownCalls() {
  std::vector<KnownCalls> all = {
      {.name = "hermes",
       .marks = {.name_begin = absl::StrCat("<tool_call>\n", kNameBegin),
                 .arguments_begin = kArgumentsBegin,
                 .call_end = "}\n</tool_call>",
                 .separator = "\n",
                 .trigger = "<tool_call>"}},
      {.name = "mistral",
       .token = "[ARGS]",
       .marks = {.name_begin = "[TOOL_CALLS]",
                 .arguments_begin = "[ARGS]",
                 .trigger = "[TOOL_CALLS]"}},
      {.name = "mistral", .marks = ListMarks("[TOOL_CALLS]")},
      {.name = "granite",
       .token = "<|tool_call|>",
       .marks = ListMarks("<|tool_call|>")},
      {.name = "granite", .marks = ListMarks("<tool_call>")},
      {.name = "deepseek",
       .marks = DeepSeekMarks("function<｜tool▁sep｜>", "\n```json\n", "\n```",
                              "\n")},
      {.name = "deepseek",
       .marks = DeepSeekMarks("", "<｜tool▁sep｜>", "", "")},
      {.name = "llama3",
       .marks = {.name_begin = kNameBegin,
                 .arguments_begin = R"(", "parameters": )",
                 .call_end = "}",
                 .trigger = kNameBegin,
                 .is_at_start = true,
                 .calls_max = 1}},
  };
  for (const char* type : {" json", " <|constrain|>json", ""}) {
    for (KnownCalls& known : HarmonyCalls(type)) {
      all.push_back(std::move(known));
    }
  }
  return all;
}

// The end of `text` that `mark` matches, with the spacing there; before it only
// where the mark begins with some.
std::optional<absl::string_view> FindAtEnd(absl::string_view mark,
                                           absl::string_view text) {
  if (mark.empty()) return "";
  const MarkPattern pattern(mark, {});
  const size_t first = text.size() - std::min(text.size(), kMarkBytesMax);
  for (size_t begin = text.size(); begin-- > first;) {
    const absl::string_view end = text.substr(begin);
    const MarkMatch match = pattern.Match(SymbolsOf(end, {}));
    if (match.kind != MarkMatch::Kind::kWhole ||
        !absl::StripAsciiWhitespace(end.substr(match.length)).empty()) {
      continue;
    }
    while (IsSpaceSymbol(mark[0]) && begin > 0 &&
           IsSpaceSymbol(text[begin - 1])) {
      --begin;
    }
    return text.substr(begin);
  }
  return std::nullopt;
}

// Takes what `mark` matches, with white space before it, from the beginning of
// `text`.
std::optional<absl::string_view> TakeFromStart(absl::string_view mark,
                                               absl::string_view* text) {
  if (mark.empty()) return "";
  const absl::string_view begin = text->substr(0, kMarkBytesMax);
  const MarkMatch match =
      MarkPattern(mark, {}).MatchAfterSpace(SymbolsOf(begin, {}));
  if (match.kind != MarkMatch::Kind::kWhole) return std::nullopt;
  text->remove_prefix(match.length);
  return begin.substr(0, match.length);
}

// The places of a call in a rendered text.
struct CallPlaces {
  absl::string_view before;   // from the question to the name
  absl::string_view between;  // from the name to the arguments
  absl::string_view after;    // behind the arguments
};

std::optional<CallPlaces> FindCall(absl::string_view text,
                                   absl::string_view name) {
  const size_t at = text.find(name);
  if (at == absl::string_view::npos) return std::nullopt;
  const absl::string_view rest = text.substr(at + name.size());
  const size_t key = rest.find("tandem_key");
  const size_t value = rest.find("tandem_value");
  if (key == absl::string_view::npos || value == absl::string_view::npos) {
    return std::nullopt;
  }
  const size_t begin = rest.rfind('{', key);
  const size_t end = rest.find('}', value);
  if (begin == absl::string_view::npos || end == absl::string_view::npos ||
      absl::StripAsciiWhitespace(rest.substr(begin + 1, key - begin - 1)) !=
          "\"") {
    return std::nullopt;  // not there, or escaped in a text
  }
  const size_t question = text.substr(0, at).rfind(kProbeQuestion);
  const size_t first =
      question == absl::string_view::npos
          ? 0
          : question + absl::string_view(kProbeQuestion).size();
  return CallPlaces{.before = text.substr(first, at - first),
                    .between = rest.substr(0, begin),
                    .after = rest.substr(end + 1)};
}

// True where nothing but what begins every reply stands before a call.
bool IsAtStart(const RenderedCalls& rendered, absl::string_view before) {
  const size_t question = rendered.prompt.rfind(kProbeQuestion);
  if (question == std::string::npos) return false;
  const absl::string_view start = absl::string_view(rendered.prompt)
                                      .substr(question)
                                      .substr(sizeof(kProbeQuestion) - 1);
  return absl::StripAsciiWhitespace(start) ==
         absl::StripAsciiWhitespace(before);
}

// Takes the marks after the arguments of the last call.
bool ReadEnd(const CallMarks& known, absl::string_view after,
             CallMarks* marks) {
  if (!known.id_begin.empty() && TakeFromStart(known.id_begin, &after) &&
      !(absl::ConsumePrefix(&after, kProbeCallId) &&
        absl::ConsumePrefix(&after, "\""))) {
    return false;
  }
  const auto call_end = TakeFromStart(known.call_end, &after);
  if (!call_end.has_value()) return false;
  marks->call_end = std::string(*call_end);
  const auto section_end = TakeFromStart(known.section_end, &after);
  if (!section_end.has_value()) return false;
  marks->section_end = std::string(*section_end);
  return true;
}

// What stands between the calls of a reply with two; false where the template
// does not write them as `marks` says.
bool ReadSeparator(const RenderedCalls& rendered, CallMarks* marks) {
  const auto first = FindCall(rendered.two, kProbeCall);
  const auto second = FindCall(rendered.two, kProbeNextCall);
  if (!first.has_value() || !second.has_value()) return false;
  absl::string_view rest = first->after;
  if (!marks->id_begin.empty() && TakeFromStart(marks->id_begin, &rest)) {
    const size_t quote = rest.find('"');
    if (quote == absl::string_view::npos) return false;
    rest.remove_prefix(quote + 1);
  }
  if (!absl::ConsumePrefix(&rest, marks->call_end)) return false;
  const size_t next = rest.find(marks->name_begin);
  if (next == absl::string_view::npos ||
      rest.substr(next + marks->name_begin.size()).data() !=
          rendered.two.data() + rendered.two.find(kProbeNextCall)) {
    return false;
  }
  const absl::string_view separator = rest.substr(0, next);
  if (absl::StripAsciiWhitespace(separator) !=
      absl::StripAsciiWhitespace(marks->separator)) {
    return false;
  }
  marks->separator = std::string(separator);
  return true;
}

std::optional<CallMarks> ReadMarks(const RenderedCalls& rendered,
                                   const CallPlaces& call,
                                   const CallMarks& known) {
  CallMarks marks = known;
  const auto name_begin = FindAtEnd(known.name_begin, call.before);
  if (!name_begin.has_value()) return std::nullopt;
  marks.name_begin = std::string(*name_begin);
  absl::string_view before = call.before;
  before.remove_suffix(name_begin->size());
  const auto section_begin = FindAtEnd(known.section_begin, before);
  if (!section_begin.has_value()) return std::nullopt;
  marks.section_begin = std::string(*section_begin);
  before.remove_suffix(section_begin->size());
  if (known.is_at_start && !IsAtStart(rendered, before)) return std::nullopt;
  absl::string_view between = call.between;
  if (!TakeFromStart(known.arguments_begin, &between).has_value() ||
      !absl::StripAsciiWhitespace(between).empty()) {
    return std::nullopt;
  }
  marks.arguments_begin = std::string(call.between);
  if (!ReadEnd(known, call.after, &marks)) return std::nullopt;
  if (marks.is_at_start) marks.trigger = marks.name_begin;
  if (known.calls_max == 0 && !ReadSeparator(rendered, &marks)) {
    marks.calls_max = 1;
  }
  return marks;
}

// One line for an error: what stands around the name `kProbeCall`.
std::string Excerpt(absl::string_view text) {
  const size_t at = text.find(kProbeCall);
  text.remove_prefix(at - std::min(at, kExcerptBytesMax / 2));
  while (!text.empty() && (text.front() & 0xC0) == 0x80) text.remove_prefix(1);
  const std::string escaped = absl::Utf8SafeCEscape(text.substr(0, 200));
  absl::string_view shown =
      absl::string_view(escaped).substr(0, kExcerptBytesMax);
  while (!shown.empty() && (shown.back() & 0x80) != 0) shown.remove_suffix(1);
  return std::string(shown);
}

}  // namespace

absl::Span<const KnownCalls> AllKnownCalls() {
  static const auto* const known =
      new std::vector<KnownCalls>(MakeKnownCalls());
  return *known;
}

absl::StatusOr<KnownCalls> ReadCalls(const RenderedCalls& rendered) {
  constexpr absl::string_view kNameOne =
      "; --reply-format names the way that the model writes calls in";
  if (!absl::StrContains(rendered.one, kProbeCall)) {
    return UnsupportedTools(absl::StrCat(
        "the model's chat template does not write calls of tools", kNameOne));
  }
  const auto call = FindCall(rendered.one, kProbeCall);
  if (call.has_value()) {
    for (const KnownCalls& known : AllKnownCalls()) {
      std::optional<CallMarks> marks = ReadMarks(rendered, *call, known.marks);
      if (!marks.has_value()) continue;
      return KnownCalls{
          .name = known.name, .token = known.token, .marks = *std::move(marks)};
    }
  }
  return UnsupportedTools(
      absl::StrCat("the model's chat template writes a call as \"",
                   Excerpt(rendered.one), "\", which is not known", kNameOne));
}

}  // namespace tandem
