#include "services/client/joined_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

using ::testing::ElementsAre;

v1::TokensGenerated Tokens(int id, const std::string& text) {
  v1::TokensGenerated tokens;
  tokens.add_token_ids(id);
  tokens.set_text(text);
  return tokens;
}

void AddCall(int index, const std::string& name, const std::string& arguments,
             v1::ReplyDelta* reply) {
  v1::ToolCallDelta* call = reply->add_tool_calls();
  call->set_index(index);
  if (!name.empty()) call->set_id(absl::StrCat("call_", name));
  call->set_name(name);
  call->set_arguments(arguments);
}

TEST(JoinedReplyTest, AnEventWithoutPartsIsContent) {
  EXPECT_EQ(PartsOf(Tokens(1, "a")).content(), "a");
  v1::TurnEnded ended;
  ended.set_text("b");
  EXPECT_EQ(PartsOf(ended).content(), "b");
  ended.mutable_reply()->set_reasoning("c");
  EXPECT_EQ(PartsOf(ended).content(), "");
  EXPECT_EQ(PartsOf(ended).reasoning(), "c");
}

TEST(JoinedReplyTest, JoinsTokensAndTexts) {
  v1::TokensGenerated all;
  v1::TokensGenerated more = Tokens(1, "a");
  more.add_logprobs()->set_logprob(-1);
  JoinTokens(more, &all);
  JoinTokens(Tokens(2, "b"), &all);
  v1::TurnEnded ended;
  ended.set_text("c");
  JoinEnd(ended, &all);
  EXPECT_THAT(all.token_ids(), ElementsAre(1, 2));
  EXPECT_EQ(all.text(), "abc");
  EXPECT_EQ(all.logprobs_size(), 1);
  EXPECT_FALSE(all.has_reply()) << "nobody asked for parts";
}

TEST(JoinedReplyTest, JoinsThePrompt) {
  v1::PromptScored all;
  for (const int id : {1, 2}) {
    v1::PromptScored more;
    more.add_token_ids(id);
    more.add_logprobs()->set_logprob(static_cast<float>(-id));
    JoinPrompt(more, &all);
  }
  EXPECT_THAT(all.token_ids(), ElementsAre(1, 2));
  ASSERT_EQ(all.logprobs_size(), 2);
  EXPECT_EQ(all.logprobs(1).logprob(), -2);
}

TEST(JoinedReplyTest, JoinsThePartsOfEachEvent) {
  v1::TokensGenerated all;
  v1::TokensGenerated more = Tokens(1, "<think>so");
  more.mutable_reply()->set_reasoning("so");
  JoinTokens(more, &all);
  more = Tokens(2, "</think>Yes<call>");
  more.mutable_reply()->set_content("Yes");
  AddCall(0, "f", "{\"a\"", more.mutable_reply());
  JoinTokens(more, &all);
  more = Tokens(3, "...");
  AddCall(0, "", ":1}", more.mutable_reply());
  AddCall(1, "g", "{", more.mutable_reply());
  JoinTokens(more, &all);
  v1::TurnEnded ended;
  AddCall(1, "", "}", ended.mutable_reply());
  JoinEnd(ended, &all);
  EXPECT_EQ(all.text(), "<think>so</think>Yes<call>...");
  EXPECT_EQ(all.reply().reasoning(), "so");
  EXPECT_EQ(all.reply().content(), "Yes");
  ASSERT_EQ(all.reply().tool_calls_size(), 2);
  EXPECT_EQ(all.reply().tool_calls(0).id(), "call_f");
  EXPECT_EQ(all.reply().tool_calls(0).name(), "f");
  EXPECT_EQ(all.reply().tool_calls(0).arguments(), "{\"a\":1}");
  EXPECT_EQ(all.reply().tool_calls(1).index(), 1);
  EXPECT_EQ(all.reply().tool_calls(1).arguments(), "{}");
}

TEST(JoinedReplyTest, EventsWithAndWithoutPartsMix) {
  v1::TokensGenerated all;
  JoinTokens(Tokens(1, "a"), &all);
  v1::TokensGenerated more = Tokens(2, "<b>");
  more.mutable_reply()->set_content("b");
  JoinTokens(more, &all);
  JoinTokens(Tokens(3, "c"), &all);
  EXPECT_EQ(all.reply().content(), "abc");
  EXPECT_EQ(all.text(), "a<b>c");
}

TEST(JoinedReplyTest, TheRestOfACallIsACall) {
  v1::ReplyDelta reply;
  v1::ReplyDelta more;
  AddCall(5, "", "1}", &more);
  JoinReply(more, &reply);
  ASSERT_EQ(reply.tool_calls_size(), 1);
  EXPECT_EQ(reply.tool_calls(0).index(), 5);
  EXPECT_EQ(reply.tool_calls(0).arguments(), "1}");
}

}  // namespace
}  // namespace tandem::client
