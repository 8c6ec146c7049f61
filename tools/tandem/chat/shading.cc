#include "tools/tandem/chat/shading.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "engine/base/utf8.h"

namespace tandem::cli {
namespace {

// How many characters a border moves at most: less than a token, which has
// about four in English text.
constexpr int64_t kReach = 3;

// Byte offsets of the characters, and the end.
std::vector<size_t> CharacterOffsets(absl::string_view text) {
  std::vector<size_t> offsets;
  size_t at = 0;
  while (at < text.size()) {
    offsets.push_back(at);
    at += FirstUtf8(text.substr(at)).bytes;
  }
  offsets.push_back(text.size());
  return offsets;
}

// Letters and digits of ASCII and all characters beyond it.
bool IsWordByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Whether a token probably begins at byte `at`, between 0 and the end.
bool MayBeginAt(absl::string_view text, size_t at) {
  const char before = text[at - 1];
  const char next = text[at];
  if (absl::ascii_isspace(static_cast<unsigned char>(next))) {
    return !absl::ascii_isspace(static_cast<unsigned char>(before));
  }
  // A word takes the space before it along, not the newline.
  if (absl::ascii_isspace(static_cast<unsigned char>(before))) {
    return before == '\n';
  }
  return IsWordByte(before) != IsWordByte(next);
}

// Divides one text.
class Divider {
 public:
  Divider(absl::string_view text, int64_t tokens)
      : text_(text), tokens_(tokens), offsets_(CharacterOffsets(text)) {}

  // The byte at which token `index` probably begins; not before `first`.
  size_t Border(int64_t index, size_t first) const {
    const int64_t characters = static_cast<int64_t>(offsets_.size()) - 1;
    if (index >= tokens_) return text_.size();
    const int64_t middle = (index * characters + tokens_ / 2) / tokens_;
    int64_t best = middle;
    int64_t distance = kReach + 1;
    for (int64_t i = std::max<int64_t>(middle - kReach, 1);
         i <= std::min(middle + kReach, characters - 1); ++i) {
      if (std::abs(i - middle) < distance && MayBeginAt(text_, offsets_[i])) {
        best = i;
        distance = std::abs(i - middle);
      }
    }
    return std::max(first, offsets_[best]);
  }

 private:
  const absl::string_view text_;
  const int64_t tokens_;  // above 0
  const std::vector<size_t> offsets_;
};

}  // namespace

std::vector<ShadedSpan> ShadedSpans(const v1::TokensGenerated& event) {
  const absl::string_view text = event.text();
  std::vector<ShadedSpan> spans;
  const auto add = [&spans](absl::string_view part, bool is_drafted) {
    if (part.empty()) return;
    if (!spans.empty() && spans.back().is_drafted == is_drafted) {
      ShadedSpan& last = spans.back();
      last.text = {last.text.data(), last.text.size() + part.size()};
    } else {
      spans.push_back({.text = part, .is_drafted = is_drafted});
    }
  };
  int64_t tokens = 0;
  for (const v1::VerifiedRound& round : event.rounds()) {
    tokens += std::max(round.tokens(), 0);
  }
  if (tokens == 0) {
    add(text, /*is_drafted=*/false);
    return spans;
  }
  const Divider divider(text, tokens);
  int64_t token = 0;
  size_t at = 0;
  const auto go_on = [&](int64_t count, bool is_drafted) {
    if (count <= 0) return;
    token += count;
    const size_t end = divider.Border(token, at);
    add(text.substr(at, end - at), is_drafted);
    at = end;
  };
  for (const v1::VerifiedRound& round : event.rounds()) {
    const int64_t all = std::max(round.tokens(), 0);
    const int64_t accepted =
        std::clamp<int64_t>(round.accepted_tokens(), 0, all);
    go_on(accepted, /*is_drafted=*/true);
    go_on(all - accepted, /*is_drafted=*/false);
  }
  return spans;
}

}  // namespace tandem::cli
