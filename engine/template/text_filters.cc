#include "engine/template/text_filters.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/format_text.h"
#include "engine/template/operators.h"
#include "engine/template/text_methods.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Result = absl::StatusOr<TemplateValue>;

// How far a text may be over the length that truncate asks for.
constexpr int64_t kTruncateLeeway = 5;

MarkedText Plain(absl::string_view text) {
  return MarkedText(text, TextMark::kTemplate);
}

Result Capitalize(const TemplateValue& value, const CallArguments& arguments,
                  RenderBudget& budget) {
  return ByMethod("capitalize", value, arguments, budget);
}

Result Lower(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  return ByMethod("lower", value, arguments, budget);
}

Result Upper(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  return ByMethod("upper", value, arguments, budget);
}

Result Trim(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"chars"}, 0));
  CallArguments strip;
  if (bound[0] != nullptr) strip.positional.push_back(*bound[0]);
  return ByMethod("strip", value, strip, budget);
}

// A letter that begins the text, or follows white space, a hyphen or an opening
// bracket, is made a capital.
std::string TitleCharacter(absl::string_view character, uint32_t previous) {
  const bool is_first = previous == 0 || IsSpace(previous) || previous == '-' ||
                        previous == '(' || previous == '{' || previous == '[' ||
                        previous == '<';
  return is_first ? UpperOf(character) : LowerOf(character);
}

Result Title(const TemplateValue& value, const CallArguments& arguments,
             RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget));
  return ChangeCharacters(text, &TitleCharacter, budget);
}

Result Center(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"width"}, 0));
  TANDEM_ASSIGN_OR_RETURN(const int64_t width, WholeOr(bound[0], 80));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget));
  return CenterText(text, width, Plain(" "), budget);
}

Result Replace(const TemplateValue& value, const CallArguments& arguments,
               RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"old", "new", "count"}, 2));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText from, TextOf(*bound[0], budget));
  TANDEM_ASSIGN_OR_RETURN(const MarkedText to, TextOf(*bound[1], budget));
  TANDEM_ASSIGN_OR_RETURN(const int64_t count, WholeOr(bound[2], -1));
  return ReplaceText(text, from, to, count, budget);
}

Result Format(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  if (!arguments.named.empty() && !arguments.positional.empty()) {
    return TemplateError("takes named arguments or others, not both");
  }
  TANDEM_ASSIGN_OR_RETURN(const MarkedText format, TextOf(value, budget));
  if (arguments.named.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        const TemplateValue values,
        budget.NewList(arguments.positional, TemplateValue::ListKind::kTuple));
    return FormatPercent(format, values, budget);
  }
  std::vector<TemplateValue::Entry> entries;
  for (const auto& [name, argument] : arguments.named) {
    entries.emplace_back(TemplateValue::Text(name), argument);
  }
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue values,
                          budget.NewMap(std::move(entries)));
  return FormatPercent(format, values, budget);
}

absl::StatusOr<std::vector<TemplateValue>> LinesOf(const TemplateValue& text,
                                                   RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const TemplateValue lines,
      ByMethod("splitlines", text, CallArguments(), budget));
  return std::vector<TemplateValue>(lines.items().begin(), lines.items().end());
}

Result Indent(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"width", "first", "blank"}, 0));
  MarkedText indent;
  if (bound[0] != nullptr && bound[0]->is_text()) {
    indent = bound[0]->text();
  } else {
    TANDEM_ASSIGN_OR_RETURN(const int64_t width, WholeOr(bound[0], 4));
    TANDEM_RETURN_IF_ERROR(budget.CheckRoom(static_cast<double>(width)));
    indent =
        Plain(std::string(width > 0 ? static_cast<size_t>(width) : 0, ' '));
  }
  const bool indents_first = bound[1] != nullptr && IsTrue(*bound[1]);
  const bool indents_blank = bound[2] != nullptr && IsTrue(*bound[2]);
  TANDEM_ASSIGN_OR_RETURN(MarkedText text, TextOf(value, budget));
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
      static_cast<double>(text.memory_bytes() + indent.memory_bytes())));
  // With this a line end at the end of the text begins a last line.
  text.Append("\n", TextMark::kTemplate);
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue as_text,
                          budget.NewText(std::move(text)));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateValue> lines,
                          LinesOf(as_text, budget));
  MarkedText indented;
  for (size_t i = 0; i < lines.size(); ++i) {
    const MarkedText& line = lines[i].text();
    TANDEM_RETURN_IF_ERROR(budget.CheckRoom(
        static_cast<double>(indented.memory_bytes() + line.memory_bytes() +
                            indent.memory_bytes())));
    if (i > 0) indented.Append("\n", TextMark::kTemplate);
    if (i == 0 ? indents_first : indents_blank || !line.empty()) {
      indented.Append(indent);
    }
    indented.Append(line);
  }
  return budget.NewText(std::move(indented));
}

Result Truncate(const TemplateValue& value, const CallArguments& arguments,
                RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"length", "killwords", "end", "leeway"}, 0));
  TANDEM_ASSIGN_OR_RETURN(const int64_t length, WholeOr(bound[0], 255));
  TANDEM_ASSIGN_OR_RETURN(const int64_t leeway,
                          WholeOr(bound[3], kTruncateLeeway));
  MarkedText end = Plain("...");
  if (bound[2] != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(end, TextOf(*bound[2], budget));
  }
  const int64_t end_length = CountCharacters(end.bytes());
  if (length < end_length || leeway < 0) {
    return TemplateError("the length is less than that of the end");
  }
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget));
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  const int64_t count = CountCharacters(text.bytes());
  if (count - leeway <= length) return budget.NewText(text);
  size_t cut = CharacterOffset(text.bytes(), length - end_length);
  if (bound[1] == nullptr || !IsTrue(*bound[1])) {
    const size_t space =
        absl::string_view(text.bytes()).substr(0, cut).rfind(' ');
    if (space != absl::string_view::npos) cut = space;
  }
  MarkedText truncated = text.Slice(0, cut);
  truncated.Append(end);
  return budget.NewText(std::move(truncated));
}

Result WordCount(const TemplateValue& value, const CallArguments& arguments,
                 RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget));
  const absl::string_view bytes = text.bytes();
  TANDEM_RETURN_IF_ERROR(budget.StepCharacters(bytes.size()));
  int64_t words = 0;
  bool is_in_word = false;
  for (size_t i = 0; i < bytes.size(); i += CharacterBytes(bytes, i)) {
    const uint32_t code_point = CodePointOf(bytes.substr(i));
    const bool is_word =
        code_point == '_' || IsLetter(code_point) || IsNumeric(code_point);
    words += is_word && !is_in_word ? 1 : 0;
    is_in_word = is_word;
  }
  return TemplateValue::Integer(words);
}

Result String(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  if (value.is_text()) return value;
  TANDEM_ASSIGN_OR_RETURN(MarkedText text, TextOf(value, budget));
  return budget.NewText(std::move(text));
}

absl::Status ReadIndent(const TemplateValue& indent, JsonOptions* options,
                        RenderBudget& budget) {
  options->has_indent = true;
  options->item_separator = Plain(",");
  if (indent.is_text()) {
    options->indent = indent.text();
    return absl::OkStatus();
  }
  TANDEM_ASSIGN_OR_RETURN(const int64_t width, WholeOr(&indent, 0));
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(static_cast<double>(width)));
  options->indent =
      Plain(std::string(width > 0 ? static_cast<size_t>(width) : 0, ' '));
  return absl::OkStatus();
}

Result ToJson(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments,
                    {"ensure_ascii", "indent", "separators", "sort_keys"}, 0));
  JsonOptions options;
  options.ensure_ascii = bound[0] != nullptr && IsTrue(*bound[0]);
  options.sort_keys = bound[3] != nullptr && IsTrue(*bound[3]);
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    TANDEM_RETURN_IF_ERROR(ReadIndent(*bound[1], &options, budget));
  }
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const TemplateValue& separators = *bound[2];
    if (!separators.is_indexable() || separators.items().size() != 2 ||
        !separators.items()[0].is_text() || !separators.items()[1].is_text()) {
      return TemplateError("separators must be two texts");
    }
    options.item_separator = separators.items()[0].text();
    options.key_separator = separators.items()[1].text();
  }
  TANDEM_ASSIGN_OR_RETURN(MarkedText text, JsonOf(value, options, budget));
  return budget.NewText(std::move(text));
}

constexpr TemplateFilter kTextFilters[] = {
    {"capitalize", &Capitalize}, {"center", &Center},
    {"format", &Format},         {"indent", &Indent},
    {"lower", &Lower},           {"replace", &Replace},
    {"string", &String},         {"title", &Title},
    {"tojson", &ToJson},         {"trim", &Trim},
    {"truncate", &Truncate},     {"upper", &Upper},
    {"wordcount", &WordCount},
};

}  // namespace

absl::Span<const TemplateFilter> TextFilters() { return kTextFilters; }

}  // namespace tandem
