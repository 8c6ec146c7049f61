#include "tools/tandem/chat/transcript.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

Conversation TwoTurns() {
  Conversation conversation({.system = "Be kind."});
  for (const char* text : {"Hello", "And\nthen?"}) {
    ChatTurn turn = {.prompt = text};
    turn.record.started.set_session_id("5e55");
    turn.record.started.set_model_id("tales");
    turn.record.started.set_seed(7);
    turn.record.tokens.set_text("Once.\n");
    turn.record.ended.set_finish_reason(v1::FINISH_REASON_LENGTH);
    conversation.Add(turn);
  }
  return conversation;
}

class TranscriptTest : public ::testing::Test {
 protected:
  TranscriptTest()
      : folder_(absl::StrCat(::testing::TempDir(), "transcript-", getpid())) {
    mkdir(folder_.c_str(), 0700);
  }
  std::string Path(const std::string& name) { return folder_ + "/" + name; }
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  const std::string folder_;
};

TEST_F(TranscriptTest, MarkdownHasASectionForEachText) {
  EXPECT_EQ(MarkdownTranscript(TwoTurns()),
            "# A conversation\n\n"
            "## System\n\nBe kind.\n\n"
            "## User\n\nHello\n\n## tales\n\nOnce.\n\n"
            "## User\n\nAnd\nthen?\n\n## tales\n\nOnce.\n");
}

TEST_F(TranscriptTest, MarkdownSaysWhyAReplyWasCut) {
  Conversation conversation({});
  ChatTurn turn = {.prompt = "a"};
  turn.error = "the connection is gone";
  conversation.Add(turn);
  EXPECT_THAT(MarkdownTranscript(conversation),
              HasSubstr("*The reply was cut: the connection is gone*"));
}

TEST_F(TranscriptTest, JsonHasWhatGeneratePrints) {
  const Json json = JsonTranscript(TwoTurns());
  EXPECT_EQ(json["model_id"], "tales");
  EXPECT_EQ(json["session_id"], "5e55");
  EXPECT_EQ(json["system"], "Be kind.");
  ASSERT_EQ(json["turns"].size(), 2u);
  EXPECT_EQ(json["turns"][1]["prompt"], "And\nthen?");
  EXPECT_EQ(json["turns"][1]["text"], "Once.\n");
  EXPECT_EQ(json["turns"][1]["seed"], 7);
  EXPECT_EQ(json["turns"][1]["finish_reason"], "length");
}

TEST_F(TranscriptTest, TheExtensionChooses) {
  ASSERT_TRUE(SaveTranscript(TwoTurns(), Path("a.json"), Overwrite::kNo).ok());
  EXPECT_EQ(Json::parse(Read(Path("a.json")))["turns"].size(), 2u);
  ASSERT_TRUE(SaveTranscript(TwoTurns(), Path("a.MD"), Overwrite::kNo).ok());
  EXPECT_THAT(Read(Path("a.MD")), HasSubstr("## User"));
  EXPECT_THAT(
      SaveTranscript(TwoTurns(), Path("a.txt"), Overwrite::kYes).message(),
      HasSubstr(".md"));
  EXPECT_NE(access(Path("a.txt").c_str(), F_OK), 0);
}

TEST_F(TranscriptTest, NothingIsOverwrittenUnasked) {
  std::ofstream(Path("b.md")) << "mine";
  const absl::Status status =
      SaveTranscript(TwoTurns(), Path("b.md"), Overwrite::kNo);
  EXPECT_THAT(status.message(), HasSubstr("/save! "));
  EXPECT_EQ(Read(Path("b.md")), "mine");
  EXPECT_TRUE(SaveTranscript(TwoTurns(), Path("b.md"), Overwrite::kYes).ok());
  EXPECT_THAT(Read(Path("b.md")), HasSubstr("## User"));
}

TEST_F(TranscriptTest, TheHomeFolderIsKnown) {
  const char* const before = getenv("HOME");
  const std::string home = before == nullptr ? "" : before;
  setenv("HOME", folder_.c_str(), 1);
  EXPECT_TRUE(SaveTranscript(TwoTurns(), "~/c.md", Overwrite::kNo).ok());
  setenv("HOME", home.c_str(), 1);
  EXPECT_THAT(Read(Path("c.md")), HasSubstr("## User"));
  EXPECT_FALSE(
      SaveTranscript(TwoTurns(), Path("no/d.md"), Overwrite::kNo).ok());
}

}  // namespace
}  // namespace tandem::cli
