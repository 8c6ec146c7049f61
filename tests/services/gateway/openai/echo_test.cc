#include "services/gateway/openai/echo.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

// text_offset of tokens that read `tokens`, in `text`.
std::vector<int> Offsets(const std::vector<std::string>& tokens,
                         const std::string& text) {
  std::vector<int> ids;
  TokenTexts texts;
  for (size_t i = 0; i < tokens.size(); ++i) {
    ids.push_back(static_cast<int>(i) + 10);
    texts[ids.back()] = tokens[i];
  }
  return EchoLogprobs(Scored(ids), texts, text)["text_offset"]
      .get<std::vector<int>>();
}

TEST(EchoLogprobsTest, TheFirstTokenHasNone) {
  const TokenTexts texts = {{1, "<s>"}, {4, " Once"}, {9, " a"}};
  const OrderedJson json = EchoLogprobs(Scored({1, 4}), texts, "Once");
  EXPECT_EQ(json.dump(), R"({"tokens":["<s>"," Once"],)"
                         R"("token_logprobs":[null,-0.5],)"
                         R"("top_logprobs":[null,{" a":-0.25}],)"
                         R"("text_offset":[0,0]})");
  EXPECT_EQ(EchoLogprobs({}, texts, "Once").dump(),
            R"({"tokens":[],"token_logprobs":[],"top_logprobs":[],)"
            R"("text_offset":[]})");
}

TEST(EchoLogprobsTest, TokensHaveTheirPlacesInTheText) {
  EXPECT_EQ(Offsets({"On", "ce", " upon"}, "Once upon"),
            (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(Offsets({"<s>", " Once", " upon"}, "Once upon"),
            (std::vector<int>{0, 0, 4}));
  // A control token in the middle has no bytes in the text.
  EXPECT_EQ(Offsets({"a", "<sep>", "b", "c"}, "abc"),
            (std::vector<int>{0, 1, 1, 2}));
  // Tokens that nothing is known of.
  EXPECT_EQ(Offsets({"", "", "b"}, "ab"), (std::vector<int>{0, 0, 0}));
}

TEST(EchoLogprobsTest, PartsOfCharactersKeepTheFollowingOnesInPlace) {
  const std::string part = "\xef\xbf\xbd";
  // U+2603, a byte a token.
  EXPECT_EQ(Offsets({"a", part, part, part, " b"}, "a\xe2\x98\x83 b"),
            (std::vector<int>{0, 1, 2, 3, 4}));
  // Two bytes and one; what follows is at its place.
  EXPECT_EQ(Offsets({"a ", part, part, " b", " c"}, "a \xe2\x98\x83 b c"),
            (std::vector<int>{0, 2, 3, 5, 7}));
  EXPECT_EQ(Offsets({"a " + part, part, " b"}, "a \xe2\x98\x83 b"),
            (std::vector<int>{0, 3, 5}));
  // A letter of two bytes before a part.
  EXPECT_EQ(Offsets({"\xc3\xa9" + part, part, "b"},
                    "\xc3\xa9\xe2\x98\x83"
                    "b"),
            (std::vector<int>{0, 3, 5}));
  // More than the text has.
  EXPECT_EQ(Offsets({"a" + part + std::string(1, '\0'), part, "b"}, "a"),
            (std::vector<int>{0, 1, 1}));
}

TEST(EchoLogprobsTest, TheReplysFollow) {
  const TokenTexts texts = {{4, "Once"}, {5, " upon"}, {9, " a"}};
  OrderedJson all = EchoLogprobs(Scored({4}), texts, "Once");
  AppendLogprobs(
      CompletionLogprobs(WithLogprobs(Tokens(0, {5}, " upon")), texts, 4),
      &all);
  EXPECT_EQ(all["tokens"], OrderedJson::array({"Once", " upon"}));
  EXPECT_EQ(all["text_offset"], OrderedJson::array({0, 4}));
  EXPECT_EQ(all["top_logprobs"][1][" a"], -0.25);
}

TEST(CheckEchoTest, AllChoicesTogetherHaveABound) {
  v1::TurnStarted started = Started();
  EXPECT_TRUE(CheckEcho({}, started).ok());
  ReplyFormat format = {.echo = Echo{.text = std::string(1 << 20, 'x')}};
  EXPECT_TRUE(CheckEcho(format, started).ok());
  format.choices = 64;
  EXPECT_TRUE(CheckEcho(format, started).ok());
  format.echo->text += "x";
  const absl::Status status = CheckEcho(format, started);
  EXPECT_EQ(ErrorObject(status)["param"], "echo");
  format = {.echo = Echo{.text = "x", .logprobs = 20}};
  started.set_prompt_tokens(15000);
  EXPECT_TRUE(CheckEcho(format, started).ok());
  started.set_prompt_tokens(16000);
  EXPECT_FALSE(CheckEcho(format, started).ok());
  format.echo->logprobs = 1;
  EXPECT_TRUE(CheckEcho(format, started).ok());
}

TEST(WithoutReplyTest, NothingWasGenerated) {
  const v1::TurnEnded ended =
      WithoutReply(Ended(v1::FINISH_REASON_STOP_TOKEN, "x"));
  EXPECT_EQ(ended.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(ended.text(), "");
  EXPECT_EQ(ended.usage().generated_tokens(), 0);
  EXPECT_EQ(ended.usage().prompt_tokens(), 5);
}

}  // namespace
}  // namespace tandem::gateway
