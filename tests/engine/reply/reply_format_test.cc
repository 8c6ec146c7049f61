#include "engine/reply/reply_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/reply/channel_names.h"
#include "tests/engine/reply/read_template.h"
#include "tests/engine/reply/reply_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string>& ThinkMarks() {
  static const auto* const marks =
      new std::vector<std::string>{"<think>", "</think>"};
  return *marks;
}

void ExpectUnsupported(const absl::Status& status, const char* what) {
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedTools);
  EXPECT_THAT(status.message(), HasSubstr(what));
}

TEST(ReplyFormatTest, AModelWithoutATemplateHasNeitherReasoningNorTools) {
  const ReplyFormat format =
      DeriveReplyFormat(*MakeReplyTokenizer({}, ThinkMarks()));
  EXPECT_EQ(format.reasoning_begin, "");
  EXPECT_EQ(format.reasoning_end, "");
  EXPECT_EQ(format.tool_format, "");
  ExpectUnsupported(format.tools_error, "chat template");
}

TEST(ReplyFormatTest, ATemplateThatIgnoresToolsHasNone) {
  const ReplyFormat format = DeriveReplyFormat(*MakeReplyTokenizer(
      {}, {}, "{% for m in messages %}{{ m.content }}{% endfor %}"));
  EXPECT_EQ(format.tool_format, "");
  ExpectUnsupported(format.tools_error, "does not show tools");
}

// By the prompt, by options, and by what is taken out of earlier replies.
TEST(ReplyFormatTest, TheTemplateShowsReasoning) {
  for (const std::string& source :
       {ReadTemplate(TANDEM_SOURCE_DIR, "r1-distill.jinja"),
        ReadTemplate(TANDEM_SOURCE_DIR, "qwen3-thinking.jinja"),
        std::string("{% for m in messages %}{{ m.content.split('</think>')[-1] "
                    "}}{% endfor %}")}) {
    const ReplyFormat format =
        DeriveReplyFormat(*MakeReplyTokenizer({}, ThinkMarks(), source));
    EXPECT_EQ(format.reasoning_begin, "<think>") << source;
    EXPECT_EQ(format.reasoning_end, "</think>") << source;
    EXPECT_TRUE(format.controls.empty());
  }
}

TEST(ReplyFormatTest, MarksOfReasoningMayBeControlTokens) {
  const auto tokenizer = MakeReplyTokenizer(
      {"[THINK]", "[/THINK]"}, {},
      "{% for m in messages %}{{ m.content }}{% endfor %}[THINK]");
  const ReplyFormat format = DeriveReplyFormat(*tokenizer);
  EXPECT_EQ(format.reasoning_begin, "[THINK]");
  EXPECT_EQ(format.reasoning_end, "[/THINK]");
  ASSERT_EQ(format.controls.size(), 2u);
  EXPECT_EQ(tokenizer->piece(format.controls[0].id), "[THINK]");
}

TEST(ReplyFormatTest, MarksNeedBothTokensAndTheTemplate) {
  const std::string source =
      ReadTemplate(TANDEM_SOURCE_DIR, "r1-distill.jinja");
  for (const auto& marks :
       std::vector<std::vector<std::string>>{{}, {"<think>"}, {"</think>"}}) {
    EXPECT_EQ(DeriveReplyFormat(*MakeReplyTokenizer({}, marks, source))
                  .reasoning_begin,
              "");
  }
  EXPECT_EQ(DeriveReplyFormat(
                *MakeReplyTokenizer(
                    {}, ThinkMarks(),
                    "{% for m in messages %}{{ m.content }}{% endfor %}"))
                .reasoning_begin,
            "");
}

TEST(ReplyFormatTest, ChannelsNeedTheirTokensAndTheTemplate) {
  const std::string source =
      ReadTemplate(TANDEM_SOURCE_DIR, "gpt-oss-channels.jinja");
  const std::vector<std::string> controls = {"<|start|>",   "<|channel|>",
                                             "<|message|>", "<|end|>",
                                             "<|call|>",    "<|return|>"};
  const ReplyFormat format =
      DeriveReplyFormat(*MakeReplyTokenizer(controls, ThinkMarks(), source));
  EXPECT_TRUE(format.has_channels);
  EXPECT_EQ(format.reasoning_begin, kAnalysisBegin);
  EXPECT_EQ(format.reasoning_end, kAnalysisEnd);
  EXPECT_EQ(format.answer_begin, kFinalBegin);
  // This template shows tools and writes no calls.
  EXPECT_EQ(format.tool_format, "");
  ExpectUnsupported(format.tools_error, "does not write calls");
  EXPECT_EQ(format.controls.size(), 5u);
  for (const char* missing : {"<|start|>", "<|call|>"}) {
    std::vector<std::string> others = controls;
    std::erase(others, missing);
    EXPECT_FALSE(DeriveReplyFormat(*MakeReplyTokenizer(others, {}, source))
                     .has_channels);
  }
  EXPECT_FALSE(
      DeriveReplyFormat(*MakeReplyTokenizer(controls, {}, "A")).has_channels);
}

TEST(ReplyFormatTest, NamesAreListed) {
  EXPECT_EQ(ReplyFormatNames(),
            "deepseek, granite, harmony, hermes, llama3, mistral");
  const auto tokenizer = MakeReplyTokenizer({}, {}, "A");
  const auto format = NamedReplyFormat("hermess", *tokenizer);
  EXPECT_EQ(format.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(format.status().message(), HasSubstr(ReplyFormatNames()));
  ExpectUnsupported(NamedReplyFormat("harmony", *tokenizer).status(),
                    "<|start|>");
}

TEST(ReplyFormatTest, ANameDoesNotShowToolsToTheModel) {
  const auto format =
      NamedReplyFormat("hermes", *MakeReplyTokenizer({}, {}, "A"));
  ASSERT_TRUE(format.ok()) << format.status();
  EXPECT_EQ(format->tool_format, "");
  ExpectUnsupported(format->tools_error, "does not show tools");
}

TEST(ReplyFormatTest, TheNameHarmonyMakesChannels) {
  const auto format = NamedReplyFormat("harmony", *AllMarksTokenizer());
  ASSERT_TRUE(format.ok()) << format.status();
  EXPECT_TRUE(format->has_channels);
  EXPECT_EQ(format->answer_begin, kFinalBegin);
  EXPECT_EQ(format->tool_format, "");
  ExpectUnsupported(format->tools_error, "chat template");
}

TEST(ReplyFormatTest, APromptMayEndInReasoning) {
  const auto tokenizer = MakeReplyTokenizer({"[THINK]"}, ThinkMarks());
  ReplyFormat format;
  format.reasoning_begin = "<think>";
  format.reasoning_end = "</think>";
  const auto starts = [&](const char* prompt) {
    return StartsInReasoning(format, *tokenizer, ReplyIds(*tokenizer, prompt));
  };
  EXPECT_TRUE(starts("A<think>"));
  EXPECT_TRUE(starts("A<think>\n \n"));
  EXPECT_FALSE(starts(""));
  EXPECT_FALSE(starts("A"));
  EXPECT_FALSE(starts("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(starts("<think>A"));
  format.reasoning_begin = "[THINK]";
  EXPECT_TRUE(starts("A[THINK]"));
  EXPECT_FALSE(StartsInReasoning({}, *tokenizer, ReplyIds(*tokenizer, "A")));
}

TEST(ReplyFormatTest, APromptMayEndInTheChannelOfReasoning) {
  const auto tokenizer = AllMarksTokenizer();
  const ReplyFormat format = FormatOf("harmony", *tokenizer);
  const auto starts = [&](const std::string& prompt) {
    return StartsInReasoning(format, *tokenizer, ReplyIds(*tokenizer, prompt));
  };
  EXPECT_TRUE(starts("<|start|>assistant<|channel|>analysis<|message|>"));
  EXPECT_FALSE(starts("<|start|>assistant"));
  EXPECT_FALSE(starts("<|start|>assistant<|channel|>final<|message|>"));
}

}  // namespace
}  // namespace tandem
