#include "services/coordinator/client/split_reply.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

// The prompt has begun the reasoning: its end is the mark for that.
constexpr char kPrompt[] = "w1w2w3";
constexpr char kBegin[] = "w2w3";

std::string FieldOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return !detail.has_value() || detail->violations.empty()
             ? ""
             : detail->violations[0].field;
}

class SplitReplyTest : public StoredFixture {
 protected:
  SplitReplyTest() {
    // Some of the text stands for the mark that ends it.
    const PlainResult plain = PlainRun(SpecOf(PromptOf(kPrompt), 200));
    end_at_ = plain.text.find('w', plain.text.size() / 3);
    end_ = plain.text.substr(end_at_, 7);
    const auto format = std::make_shared<const ReplyFormat>(
        ReplyFormat{.tools_error = absl::FailedPreconditionError("no calls"),
                    .reasoning_begin = kBegin,
                    .reasoning_end = end_});
    for (FakeCoordinator* coordinator : {a_, b_}) {
      coordinator->info.reply_format = format;
      coordinator->SetWorkers(1);
    }
  }
  // A turn at `to` that its helper thread has prepared.
  FakeClient* StartSplit(FakeCoordinator* to, const std::string& prompt) {
    FakeClient* const client = Connect(to);
    v1::TurnRequest turn;
    turn.set_split_reply(true);
    const int64_t sessions = to->sessions.size();
    client->Start(prompt, 200, turn);
    AwaitHelper([&] { return to->sessions.size() > sessions; });
    return client;
  }

  std::string end_;
  size_t end_at_ = 0;  // in the text after kPrompt
};

TEST_F(SplitReplyTest, ReasoningEndsAtItsMark) {
  FakeClient* const client = StartSplit(a_, kPrompt);
  RunToEnd(client);
  ExpectPlain(*client, SpecOf(PromptOf(kPrompt), 200));
  ASSERT_EQ(client->text.find(end_), end_at_);
  EXPECT_EQ(client->reasoning, client->text.substr(0, end_at_));
  EXPECT_EQ(client->content, client->text.substr(end_at_ + end_.size()));
}

TEST_F(SplitReplyTest, WithoutReasoningAllIsContent) {
  FakeClient* const client = StartSplit(a_, "w1w2");
  RunToEnd(client);
  // The reply itself may begin the reasoning, at its very beginning alone.
  ASSERT_FALSE(client->text.starts_with(kBegin));
  EXPECT_EQ(client->reasoning, "");
  EXPECT_EQ(client->content, client->text);
}

TEST_F(SplitReplyTest, WhoDoesNotAskGetsNoParts) {
  FakeClient* const client = Connect(a_);
  client->Start(kPrompt, 200);
  RunToEnd(client);
  EXPECT_EQ(client->reasoning + client->content, "");
}

// Wherever the client comes back, at another coordinator, its parts joined are
// those of an undisturbed stream.
TEST_F(SplitReplyTest, PartsGoOnElsewhere) {
  FakeClient* const whole = StartSplit(a_, kPrompt);
  RunToEnd(whole);
  for (size_t tokens = 1; tokens < whole->tokens.size(); tokens += 7) {
    FakeClient* const before = StartSplit(a_, kPrompt);
    RunUntil([before, tokens] { return before->tokens.size() >= tokens; });
    Kill(a_);
    FakeClient* const after = Resume(b_, *before);
    after->content = before->content;
    after->reasoning = before->reasoning;
    RunToEnd(after);
    EXPECT_EQ(after->tokens, whole->tokens);
    EXPECT_EQ(after->reasoning, whole->reasoning) << tokens;
    EXPECT_EQ(after->content, whole->content) << tokens;
    a_->is_dead = false;
    RunFor(std::chrono::seconds(2));  // it learns that the turn has moved
  }
}

ChatRequest WithTools(std::vector<std::string> names) {
  ChatRequest chat;
  for (std::string& name : names) {
    chat.tools.push_back({.name = std::move(name)});
  }
  return chat;
}

TEST(SplitRulesTest, ToolsAskForParts) {
  v1::TurnRequest turn;
  EXPECT_FALSE(ParseSplitRules(turn).is_split);
  turn.set_split_reply(true);
  EXPECT_TRUE(ParseSplitRules(turn).is_split);
  turn.set_split_reply(false);
  turn.add_tools()->set_name("f");
  turn.set_tool_choice(v1::TOOL_CHOICE_REQUIRED);
  turn.set_tool_name("f");
  turn.set_tool_calls_max(3);
  const SplitRules rules = ParseSplitRules(turn);
  EXPECT_TRUE(rules.is_split);
  EXPECT_EQ(rules.tools.choice, ToolChoice::kRequired);
  EXPECT_EQ(rules.tools.tool_name, "f");
  EXPECT_EQ(rules.tools.calls_max, 1) << "a tool by its name is one call";
  turn.clear_tool_name();
  EXPECT_EQ(ParseSplitRules(turn).tools.calls_max, 3);
}

TEST(SplitRulesTest, ToolsWantAFormat) {
  const ReplyFormat none = {
      .tools_error = MakeError(absl::StatusCode::kFailedPrecondition,
                               {.reason = kReasonUnsupportedTools}, "why")};
  const PromptSource tools = WithTools({"f"});
  EXPECT_EQ(CheckTools(tools, &none).message(), "why");
  EXPECT_EQ(GetErrorDetail(CheckTools(tools, nullptr))->reason,
            kReasonUnsupportedTools);
  EXPECT_TRUE(CheckTools(PromptSource(ChatRequest()), &none).ok());
  EXPECT_TRUE(CheckTools(PromptSource(PromptText()), nullptr).ok());
  const ReplyFormat hermes = {.tool_format = "hermes"};
  EXPECT_TRUE(CheckTools(tools, &hermes).ok());
}

// The format of a client's own comes behind the model's reasoning.
TEST(FormatOfReplyTest, AFormatFollowsTheReasoning) {
  const ReplyFormat format = {.reasoning_begin = "<think>",
                              .reasoning_end = "</think>"};
  const PromptSource prompt = PromptText();
  GenOptions options;
  const SplitRules rules = {.is_split = true};
  EXPECT_FALSE(
      FormatOfReply(prompt, options, {.rules = rules, .format = format})
          .has_value());
  options.response_format = {.kind = GrammarSource::Kind::kRegex, .text = "a"};
  std::optional<GrammarSource> made =
      FormatOfReply(prompt, options, {.rules = rules, .format = format});
  EXPECT_EQ(made->text, "a");
  EXPECT_EQ(made->preamble_begin, "<think>");
  EXPECT_EQ(made->preamble_end, "</think>");
  made = FormatOfReply(
      prompt, options,
      {.rules = rules, .format = format, .starts_in_reasoning = true});
  EXPECT_EQ(made->preamble_begin, "");
  EXPECT_EQ(made->preamble_end, "</think>");
  options.response_format->preamble_end = "own";
  made = FormatOfReply(prompt, options, {.rules = rules, .format = format});
  EXPECT_EQ(made->preamble_begin, "");
  EXPECT_EQ(made->preamble_end, "own");
  // A model may write something before its answers, and a client's own first
  // part is all that stands before its format.
  const ReplyFormat channels = {.reasoning_begin = "<analysis>",
                                .reasoning_end = "</analysis>",
                                .answer_begin = "<final>"};
  made = FormatOfReply(prompt, options, {.rules = rules, .format = channels});
  EXPECT_EQ(made, options.response_format);
  options.response_format->preamble_end = "";
  made = FormatOfReply(prompt, options, {.rules = rules, .format = channels});
  EXPECT_EQ(made->preamble_end, "</analysis>");
  EXPECT_EQ(made->answer_begin, "<final>");
  const ReplyFormat plain;
  EXPECT_EQ(FormatOfReply(prompt, options, {.rules = rules, .format = plain}),
            options.response_format);
}

TEST(InToolsWordsTest, NamesTheTool) {
  const PromptSource tools = WithTools({"f", "g", "h"});
  const absl::Status wrong = InvalidField("options.response_format.tags",
                                          "tags[1].json_schema: /type: is 3");
  const absl::Status told = InToolsWords(wrong, tools, {.is_split = true});
  EXPECT_EQ(FieldOf(told), "tools[1].parameters");
  EXPECT_EQ(GetErrorDetail(told)->violations[0].description, "/type: is 3");
  // One tool alone has the first tag.
  const absl::Status first = InvalidField("options.response_format.tags",
                                          "tags[0].json_schema: /type: is 3");
  EXPECT_EQ(FieldOf(InToolsWords(first, tools,
                                 {.is_split = true,
                                  .tools = {.choice = ToolChoice::kRequired,
                                            .tool_name = "h"}})),
            "tools[2].parameters");
  EXPECT_EQ(InToolsWords(wrong, PromptText(), {}), wrong);
  const absl::Status other = absl::InvalidArgumentError("tags are many");
  EXPECT_EQ(InToolsWords(other, tools, {}), other);
}

}  // namespace
}  // namespace tandem
