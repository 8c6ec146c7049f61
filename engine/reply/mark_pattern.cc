#include "engine/reply/mark_pattern.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace tandem {
namespace {

constexpr ReplySymbol kSpace = -1;

bool IsUpper(ReplySymbol symbol) { return symbol >= 'A' && symbol <= 'Z'; }

// "[" and "]" are JSON's where they are not those of a name, as "[ARGS]".
bool IsPunctuation(absl::Span<const ReplySymbol> symbols, size_t at) {
  switch (symbols[at]) {
    case '{':
    case '}':
    case ',':
    case ':':
      return true;
    case '[':
      return at + 1 == symbols.size() ||
             (!IsUpper(symbols[at + 1]) && symbols[at + 1] != '/');
    case ']':
      return at == 0 || !IsUpper(symbols[at - 1]);
    default:
      return false;
  }
}

}  // namespace

std::vector<ReplySymbol> SymbolsOf(absl::string_view text,
                                   absl::Span<const ControlMark> controls) {
  std::vector<ReplySymbol> symbols;
  symbols.reserve(text.size());
  while (!text.empty()) {
    const ControlMark* longest = nullptr;
    for (const ControlMark& control : controls) {
      if (!absl::StartsWith(text, control.name)) continue;
      if (longest == nullptr || control.name.size() > longest->name.size()) {
        longest = &control;
      }
    }
    if (longest == nullptr || longest->name.empty()) {
      symbols.push_back(static_cast<uint8_t>(text.front()));
      text.remove_prefix(1);
    } else {
      symbols.push_back(ControlSymbol(longest->id));
      text.remove_prefix(longest->name.size());
    }
  }
  return symbols;
}

size_t SkipSpace(absl::Span<const ReplySymbol> text, size_t at) {
  const size_t end = at + MarkPattern::kMarkSpaceMax;
  while (at < text.size() && at < end && IsSpaceSymbol(text[at])) ++at;
  return at;
}

MarkPattern::MarkPattern(absl::string_view mark,
                         absl::Span<const ControlMark> controls) {
  const std::vector<ReplySymbol> symbols =
      SymbolsOf(absl::StripAsciiWhitespace(mark), controls);
  const auto add_space = [this] {
    if (!elements_.empty() && elements_.back() != kSpace) {
      elements_.push_back(kSpace);
    }
  };
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (IsSpaceSymbol(symbols[i])) {
      add_space();
      continue;
    }
    const bool is_punctuation = IsPunctuation(symbols, i);
    if (is_punctuation) add_space();
    elements_.push_back(symbols[i]);
    if (is_punctuation) add_space();
  }
  if (!elements_.empty() && elements_.back() == kSpace) elements_.pop_back();
}

MarkMatch MarkPattern::Match(absl::Span<const ReplySymbol> text) const {
  return MatchAt(text, 0);
}

MarkMatch MarkPattern::MatchAfterSpace(
    absl::Span<const ReplySymbol> text) const {
  return MatchAt(text, empty() ? 0 : SkipSpace(text, 0));
}

MarkMatch MarkPattern::MatchAt(absl::Span<const ReplySymbol> text,
                               size_t at) const {
  for (const ReplySymbol element : elements_) {
    if (element == kSpace) {
      at = SkipSpace(text, at);
      continue;
    }
    if (at == text.size()) return {.kind = MarkMatch::Kind::kPrefix};
    if (text[at] != element) return {};
    ++at;
  }
  return {.kind = MarkMatch::Kind::kWhole, .length = at};
}

}  // namespace tandem
