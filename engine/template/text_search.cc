#include "engine/template/text_search.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/operators.h"

namespace tandem {
namespace {

using Result = absl::StatusOr<TemplateValue>;

// What a search is made in: a text between two places, as in a slice.
struct Window {
  absl::string_view text;
  int64_t start = 0;  // characters before it
  // The start lies behind the end: not even an empty text is there.
  bool is_reversed = false;
};

absl::StatusOr<Window> BindWindow(absl::string_view text,
                                  const TemplateValue* start,
                                  const TemplateValue* end,
                                  RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.StepBytes(text.size()));
  Window window = {.text = text};
  if (start == nullptr) return window;
  const int64_t count = CountCharacters(text);
  const auto place = [count](int64_t index) {
    return index < 0 ? std::max<int64_t>(0, index + count) : index;
  };
  TANDEM_ASSIGN_OR_RETURN(const int64_t first, WholeOr(start, 0));
  TANDEM_ASSIGN_OR_RETURN(const int64_t last, WholeOr(end, count));
  window.start = place(first);
  const int64_t stop = std::min(count, place(last));
  window.is_reversed = window.start > stop;
  const size_t begin = CharacterOffset(text, window.start);
  window.text = window.is_reversed
                    ? absl::string_view()
                    : text.substr(begin, CharacterOffset(text, stop) - begin);
  return window;
}

template <bool (*is_at_end)(absl::string_view, absl::string_view)>
Result HasEnd(const TemplateValue& value, const CallArguments& arguments,
              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"/text", "/start", "/end"}, 1));
  Window window = {.text = value.text().bytes()};
  if (bound[1] != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(
        window, BindWindow(window.text, bound[1], bound[2], budget));
  }
  const absl::Span<const TemplateValue> ends =
      bound[0]->is_list(TemplateValue::ListKind::kTuple)
          ? bound[0]->items()
          : absl::MakeConstSpan(bound[0], 1);
  for (const TemplateValue& end : ends) {
    TANDEM_RETURN_IF_ERROR(NeedText(end));
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(end.text().size()));
    if (!window.is_reversed && is_at_end(window.text, end.text().bytes())) {
      return TemplateValue::Bool(true);
    }
  }
  return TemplateValue::Bool(false);
}

bool BeginsWith(absl::string_view text, absl::string_view part) {
  return absl::StartsWith(text, part);
}
bool FinishesWith(absl::string_view text, absl::string_view part) {
  return absl::EndsWith(text, part);
}

enum class Search { kFind, kFindLast, kIndex, kIndexLast };

template <Search search>
Result Find(const TemplateValue& value, const CallArguments& arguments,
            RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"/text", "/start", "/end"}, 1));
  TANDEM_RETURN_IF_ERROR(NeedText(*bound[0]));
  const std::string& part = bound[0]->text().bytes();
  TANDEM_ASSIGN_OR_RETURN(
      const Window window,
      BindWindow(value.text().bytes(), bound[1], bound[2], budget));
  size_t found = 0;
  if constexpr (search == Search::kFind || search == Search::kIndex) {
    found = FindBytes(window.text, part, 0);
  } else {
    TANDEM_ASSIGN_OR_RETURN(found, FindLast(window.text, part, budget));
  }
  if (found != absl::string_view::npos && !window.is_reversed) {
    return TemplateValue::Integer(
        window.start + CountCharacters(window.text.substr(0, found)));
  }
  if constexpr (search == Search::kIndex || search == Search::kIndexLast) {
    return TemplateError("the text is not found");
  }
  return TemplateValue::Integer(-1);
}

Result CountText(const TemplateValue& value, const CallArguments& arguments,
                 RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(
      const auto bound,
      BindArguments(arguments, {"/text", "/start", "/end"}, 1));
  TANDEM_RETURN_IF_ERROR(NeedText(*bound[0]));
  const std::string& sought = bound[0]->text().bytes();
  TANDEM_ASSIGN_OR_RETURN(
      const Window window,
      BindWindow(value.text().bytes(), bound[1], bound[2], budget));
  const absl::string_view bytes = window.text;
  if (window.is_reversed) return TemplateValue::Integer(0);
  if (sought.empty()) {
    return TemplateValue::Integer(CountCharacters(bytes) + 1);
  }
  int64_t count = 0;
  for (size_t at = FindBytes(bytes, sought, 0); at != absl::string_view::npos;
       at = FindBytes(bytes, sought, at + sought.size())) {
    ++count;
  }
  return TemplateValue::Integer(count);
}

constexpr TemplateMethod kSearchMethods[] = {
    {"count", &CountText},
    {"endswith", &HasEnd<FinishesWith>},
    {"find", &Find<Search::kFind>},
    {"index", &Find<Search::kIndex>},
    {"rfind", &Find<Search::kFindLast>},
    {"rindex", &Find<Search::kIndexLast>},
    {"startswith", &HasEnd<BeginsWith>},
};

}  // namespace

absl::Span<const TemplateMethod> SearchMethods() { return kSearchMethods; }

absl::StatusOr<size_t> FindLast(absl::string_view text, absl::string_view part,
                                RenderBudget& budget) {
  // Each place of the text may be compared with the whole part.
  TANDEM_RETURN_IF_ERROR(
      budget.Step((1 + static_cast<int64_t>(text.size()) / kBytesPerStep) *
                  (1 + static_cast<int64_t>(part.size()) / kBytesPerStep)));
  return text.rfind(part);
}

}  // namespace tandem
