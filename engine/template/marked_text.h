// A text of which each character is either the template's own or content, that
// is: brought in by the caller's values. Content is never to be read as special
// tokens, so the marks go with the characters wherever a template puts them.
// A value; not for use by two threads at once while it changes.

#ifndef TANDEM_ENGINE_TEMPLATE_MARKED_TEXT_H_
#define TANDEM_ENGINE_TEMPLATE_MARKED_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem {

// A part of a rendered text. In results no part is empty, and neighbours differ
// in `is_content`.
struct TextPart {
  std::string text;
  bool is_content = false;

  friend bool operator==(const TextPart&, const TextPart&) = default;
};

enum class TextMark : uint8_t { kTemplate, kContent };

class MarkedText {
 public:
  MarkedText() = default;
  MarkedText(absl::string_view bytes, TextMark mark) { Append(bytes, mark); }

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

  // The mark of the byte at `offset` < size().
  TextMark MarkAt(size_t offset) const;

  void Append(absl::string_view bytes, TextMark mark);
  void Append(const MarkedText& other);
  // The bytes [begin, end) of `other`, with their marks.
  void Append(const MarkedText& other, size_t begin, size_t end);

  // The bytes [begin, end), with their marks.
  MarkedText Slice(size_t begin, size_t end) const;

  // Gives the text away.
  std::vector<TextPart> Parts() &&;

  // Makes room, so that a text that grows to `bytes` is not copied meanwhile.
  void Reserve(size_t bytes) { bytes_.reserve(bytes); }

  // Pieces of content.
  size_t ranges() const { return content_.size(); }

  // Bytes that this text takes, about.
  size_t memory_bytes() const {
    return bytes_.size() + content_.size() * sizeof(Range);
  }

 private:
  struct Range {
    size_t begin = 0;
    size_t end = 0;
  };

  // The first range whose end is above `offset`; content_.size() if none.
  size_t RangeAfter(size_t offset) const;

  std::string bytes_;
  // What is content: ascending, not empty, not touching.
  std::vector<Range> content_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_MARKED_TEXT_H_
