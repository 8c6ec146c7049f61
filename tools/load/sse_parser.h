// Server-sent events out of a byte stream, whatever pieces it comes in: the
// part of the WHATWG format ("Server-sent events", section 9.2) that
// OpenAI-compatible servers use. Only `data` fields are kept. One thread.

#ifndef TANDEM_TOOLS_LOAD_SSE_PARSER_H_
#define TANDEM_TOOLS_LOAD_SSE_PARSER_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem::load {

// One event at most.
inline constexpr size_t kSseEventBytesMax = 1 << 20;

class SseParser {
 public:
  // `on_data` gets the data of each event, its lines joined by a newline.
  explicit SseParser(std::function<void(absl::string_view)> on_data)
      : on_data_(std::move(on_data)) {}

  // Takes the next bytes. Errors: RESOURCE_EXHAUSTED where an event is longer
  // than kSseEventBytesMax; then the parser is of no further use.
  absl::Status Feed(absl::string_view bytes);

 private:
  void TakeLine(absl::string_view line);

  const std::function<void(absl::string_view)> on_data_;
  std::string line_;  // begun
  std::string data_;  // of the event under way
  bool has_data_ = false;
  bool after_carriage_return_ = false;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_SSE_PARSER_H_
