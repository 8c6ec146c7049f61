#include "tools/load/sse_parser.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::load {
namespace {

using ::testing::ElementsAre;

constexpr absl::string_view kStream =
    ": a comment\n"
    "event: message\n"
    "data: {\"a\": 1}\n"
    "\n"
    "data:first\r\n"
    "data\r\n"
    "data:  third\r\n"
    "\r\n"
    "id: 7\n\n"
    "data: \xc3\xa9\r\r"
    "data: [DONE]\n\n"
    "data: unfinished\n";

std::vector<std::string> ParseInPieces(absl::string_view bytes, size_t size) {
  std::vector<std::string> events;
  SseParser parser(
      [&events](absl::string_view data) { events.emplace_back(data); });
  for (size_t at = 0; at < bytes.size(); at += size) {
    EXPECT_TRUE(parser.Feed(bytes.substr(at, size)).ok());
  }
  return events;
}

TEST(SseParserTest, EventsAreTheSameWhateverThePieces) {
  for (size_t size = 1; size <= kStream.size(); ++size) {
    EXPECT_THAT(
        ParseInPieces(kStream, size),
        ElementsAre("{\"a\": 1}", "first\n\n third", "\xc3\xa9", "[DONE]"))
        << size;
  }
}

TEST(SseParserTest, AnEventHasALimit) {
  SseParser parser([](absl::string_view) { FAIL(); });
  const std::string half(kSseEventBytesMax / 2, 'x');
  EXPECT_TRUE(parser.Feed("data: " + half + "\n").ok());
  const absl::Status status = parser.Feed("data: " + half + "xx");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tandem::load
