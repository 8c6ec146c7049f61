#include "engine/reply/json_scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace tandem {
namespace {

using State = JsonScanner::State;

// The state after the last byte that was taken, and how many these are.
std::pair<State, size_t> Scan(absl::string_view text) {
  JsonScanner scanner;
  State state = State::kOpen;
  size_t bytes = 0;
  while (bytes < text.size() && state == State::kOpen) {
    state = scanner.Next(text[bytes++]);
  }
  return {state, bytes};
}

TEST(JsonScannerTest, FindsTheEndOfAnObject) {
  for (const std::string text :
       {R"({})", R"({"a": [1, -2.5e+3, true, null, {"b": "}"}]})",
        R"({"a\"}": "\\"})", "{\n \"\u00e9\": \"]\"\t}"}) {
    EXPECT_EQ(Scan(text + "}x"), std::pair(State::kClosed, text.size()))
        << text;
    EXPECT_EQ(Scan(text.substr(0, text.size() - 1)).first, State::kOpen);
  }
}

TEST(JsonScannerTest, RefusesWhatCanNotStandThere) {
  for (const char* text : {"[", "x", "\"", "}", "{]", "{[}", "{\"a\n", "{<",
                           "{\"a\": (", "{\xc3"}) {
    EXPECT_EQ(Scan(text), std::pair(State::kBroken, std::string(text).size()))
        << text;
  }
}

TEST(JsonScannerTest, DepthHasALimit) {
  std::string text = "{" + std::string(JsonScanner::kDepthMax - 1, '[');
  EXPECT_EQ(Scan(text).first, State::kOpen);
  EXPECT_EQ(Scan(text + "[").first, State::kBroken);
}

TEST(JsonScannerTest, FindsMembersOfTheObjectItself) {
  EXPECT_TRUE(HasMember(R"({"type": 1})", "type"));
  EXPECT_TRUE(HasMember(R"({"a": [{}], "type" : "object"})", "type"));
  for (const char* text :
       {"", "{}", R"({"a": "type"})", R"({"a": {"type": 1}})",
        R"({"\"type": 1})", R"({"type)", R"({"type"})", R"("type": 1)"}) {
    EXPECT_FALSE(HasMember(text, "type")) << text;
  }
}

}  // namespace
}  // namespace tandem
