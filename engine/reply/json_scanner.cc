#include "engine/reply/json_scanner.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace tandem {
namespace {

// Of numbers, literals, white space and what separates values.
bool MayStandBetween(char byte) {
  return absl::ascii_isalnum(byte) ||
         absl::StrContains(" \n\r\t,:+-.", absl::string_view(&byte, 1));
}

}  // namespace

JsonScanner::State JsonScanner::Next(char byte) {
  if (in_string_) {
    if (static_cast<unsigned char>(byte) < 0x20) return State::kBroken;
    if (is_escaped_) {
      is_escaped_ = false;
    } else if (byte == '\\') {
      is_escaped_ = true;
    } else if (byte == '"') {
      in_string_ = false;
    }
    return State::kOpen;
  }
  if (byte == '{' || (byte == '[' && !closers_.empty())) {
    if (closers_.size() == kDepthMax) return State::kBroken;
    closers_.push_back(byte == '{' ? '}' : ']');
    return State::kOpen;
  }
  if (closers_.empty()) return State::kBroken;
  if (byte == '}' || byte == ']') {
    if (closers_.back() != byte) return State::kBroken;
    closers_.pop_back();
    return closers_.empty() ? State::kClosed : State::kOpen;
  }
  if (byte == '"') {
    in_string_ = true;
    return State::kOpen;
  }
  return MayStandBetween(byte) ? State::kOpen : State::kBroken;
}

bool HasMember(absl::string_view text, absl::string_view name) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{' || text[i] == '[') ++depth;
    if (text[i] == '}' || text[i] == ']') --depth;
    if (text[i] != '"') continue;
    const size_t begin = i + 1;
    for (++i; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\') ++i;
    }
    if (i >= text.size()) return false;
    const absl::string_view rest =
        absl::StripLeadingAsciiWhitespace(text.substr(i + 1));
    if (depth == 1 && text.substr(begin, i - begin) == name &&
        absl::StartsWith(rest, ":")) {
      return true;
    }
  }
  return false;
}

}  // namespace tandem
