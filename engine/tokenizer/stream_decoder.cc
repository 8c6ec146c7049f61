#include "engine/tokenizer/stream_decoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/utf8.h"

namespace tandem {

StreamDecoder::StopMatcher::StopMatcher(std::string stop)
    : text(std::move(stop)), fallback(text.size(), 0) {
  TANDEM_CHECK(!text.empty());
  // Knuth, Morris and Pratt's failure function: fallback[i] is the length of
  // the longest proper suffix of text[0..i] that is a prefix of text.
  size_t length = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    while (length > 0 && text[i] != text[length]) length = fallback[length - 1];
    if (text[i] == text[length]) ++length;
    fallback[i] = length;
  }
}

bool StreamDecoder::StopMatcher::Advance(char byte) {
  while (matched > 0 && byte != text[matched]) matched = fallback[matched - 1];
  if (byte == text[matched]) ++matched;
  return matched == text.size();
}

StreamDecoder::StreamDecoder(const Tokenizer* tokenizer,
                             std::vector<std::string> stop_strings)
    : tokenizer_(tokenizer) {
  stops_.reserve(stop_strings.size());
  for (std::string& stop : stop_strings) stops_.emplace_back(std::move(stop));
}

bool StreamDecoder::Push(TokenId id) {
  if (stopped_ || finished_) return stopped_;
  if (IsStopByName(id)) {
    Finish();
    stopped_ = true;
    return true;
  }
  const std::string bytes = absl::StrCat(
      unfinished_, tokenizer_->TokenText(id, /*skip_special=*/true));
  unfinished_.clear();
  std::string text;
  absl::string_view rest = bytes;
  while (!rest.empty()) {
    const Utf8Prefix first = FirstUtf8(rest);
    if (first.kind == Utf8Prefix::Kind::kUnfinished) {
      unfinished_ = std::string(rest);
      break;
    }
    absl::StrAppend(&text, first.kind == Utf8Prefix::Kind::kCharacter
                               ? rest.substr(0, first.bytes)
                               : kReplacementCharacter);
    rest.remove_prefix(first.bytes);
  }
  AppendText(text);
  return stopped_;
}

bool StreamDecoder::IsStopByName(TokenId id) const {
  // What has a text stops as text.
  if (stops_.empty() ||
      !tokenizer_->TokenText(id, /*skip_special=*/true).empty()) {
    return false;
  }
  const absl::string_view name = tokenizer_->piece(id);
  return std::any_of(
      stops_.begin(), stops_.end(),
      [name](const StopMatcher& stop) { return stop.text == name; });
}

void StreamDecoder::Finish() {
  if (stopped_ || finished_) return;
  finished_ = true;
  if (!unfinished_.empty()) AppendText(kReplacementCharacter);
  unfinished_.clear();
  if (!stopped_) decided_ += held_;
  held_.clear();
}

void StreamDecoder::AppendText(absl::string_view text) {
  const size_t held_bytes = held_.size();
  absl::StrAppend(&held_, text);
  // Where the text ends: at the earliest start of a complete stop string, else
  // before the longest suffix that may still become one.
  size_t keep = held_.size();
  size_t longest = 0;
  for (StopMatcher& stop : stops_) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (!stop.Advance(text[i])) continue;
      keep = std::min(keep, held_bytes + i + 1 - stop.text.size());
      stopped_ = true;
      break;
    }
    longest = std::max(longest, stop.matched);
  }
  if (!stopped_) keep = held_.size() - longest;
  decided_.append(held_, 0, keep);
  held_.erase(0, stopped_ ? held_.size() : keep);
}

}  // namespace tandem
