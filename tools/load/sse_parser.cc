#include "tools/load/sse_parser.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem::load {

absl::Status SseParser::Feed(absl::string_view bytes) {
  for (const char byte : bytes) {
    // A line ends with CR, LF or both.
    const bool is_second_half = after_carriage_return_ && byte == '\n';
    after_carriage_return_ = byte == '\r';
    if (is_second_half) continue;
    if (byte == '\n' || byte == '\r') {
      TakeLine(line_);
      line_.clear();
    } else {
      line_.push_back(byte);
    }
    if (line_.size() + data_.size() > kSseEventBytesMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("an event of the server is longer than ",
                       kSseEventBytesMax, " bytes"));
    }
  }
  return absl::OkStatus();
}

void SseParser::TakeLine(absl::string_view line) {
  if (line.empty()) {
    if (has_data_) on_data_(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  // Other fields, and comments, which begin with the colon, say nothing here.
  if (line != "data" && !absl::ConsumePrefix(&line, "data:")) return;
  if (line == "data") line = "";
  absl::ConsumePrefix(&line, " ");
  if (has_data_) data_.push_back('\n');
  absl::StrAppend(&data_, line);
  has_data_ = true;
}

}  // namespace tandem::load
