#include "engine/template/marked_text.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {

size_t MarkedText::RangeAfter(size_t offset) const {
  const auto range = std::upper_bound(
      content_.begin(), content_.end(), offset,
      [](size_t at, const Range& candidate) { return at < candidate.end; });
  return static_cast<size_t>(range - content_.begin());
}

TextMark MarkedText::MarkAt(size_t offset) const {
  const size_t index = RangeAfter(offset);
  return index < content_.size() && content_[index].begin <= offset
             ? TextMark::kContent
             : TextMark::kTemplate;
}

void MarkedText::Append(absl::string_view bytes, TextMark mark) {
  if (bytes.empty()) return;
  const size_t begin = bytes_.size();
  bytes_.append(bytes.data(), bytes.size());
  if (mark == TextMark::kTemplate) return;
  if (!content_.empty() && content_.back().end == begin) {
    content_.back().end = bytes_.size();
  } else {
    content_.push_back({.begin = begin, .end = bytes_.size()});
  }
}

void MarkedText::Append(const MarkedText& other) {
  Append(other, 0, other.size());
}

void MarkedText::Append(const MarkedText& other, size_t begin, size_t end) {
  TANDEM_CHECK(begin <= end && end <= other.size() && this != &other);
  const absl::string_view bytes = other.bytes_;
  size_t at = begin;
  for (size_t i = other.RangeAfter(begin);
       i < other.content_.size() && other.content_[i].begin < end; ++i) {
    const size_t content_begin = std::max(at, other.content_[i].begin);
    const size_t content_end = std::min(end, other.content_[i].end);
    Append(bytes.substr(at, content_begin - at), TextMark::kTemplate);
    Append(bytes.substr(content_begin, content_end - content_begin),
           TextMark::kContent);
    at = content_end;
  }
  Append(bytes.substr(at, end - at), TextMark::kTemplate);
}

MarkedText MarkedText::Slice(size_t begin, size_t end) const {
  MarkedText slice;
  slice.Append(*this, begin, end);
  return slice;
}

std::vector<TextPart> MarkedText::Parts() && {
  std::vector<TextPart> parts;
  parts.reserve(2 * content_.size() + 1);
  const size_t size = bytes_.size();
  size_t at = 0;
  const auto add = [&](size_t end, bool is_content) {
    if (end == at) return;
    // A part that is all of the text is not copied.
    parts.push_back({.text = end - at == size ? std::move(bytes_)
                                              : bytes_.substr(at, end - at),
                     .is_content = is_content});
    at = end;
  };
  for (const Range& range : content_) {
    add(range.begin, false);
    add(range.end, true);
  }
  add(size, false);
  return parts;
}

}  // namespace tandem
