// tandem chat where standard input is no terminal; system/terminal_chat_test.py
// has one.

#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ChatCommandTest : public ::testing::Test {
 protected:
  RunResult Run(std::vector<std::string> arguments, const std::string& input) {
    arguments.insert(arguments.begin(),
                     {"chat", "--coordinator", service_.address()});
    return RunTandem(arguments, input);
  }

  FakeService service_;
};

TEST_F(ChatCommandTest, EachLineIsAMessage) {
  service_.held_back = " a";
  const RunResult result = Run({}, "Hello\nAnd then?\n");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "Once upon a\nOnce upon a\n");
  EXPECT_EQ(result.err, "");
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.session_id(), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(turn.model_id(), "tales");
  ASSERT_EQ(turn.messages().messages_size(), 1);
  EXPECT_EQ(turn.messages().messages(0).content(), "And then?");
}

TEST_F(ChatCommandTest, ABackslashGoesOnInTheNextLine) {
  ASSERT_EQ(Run({}, "one\\\ntwo\n").code, 0);
  EXPECT_EQ(service_.last_turn().messages().messages(0).content(), "one\ntwo");
}

TEST_F(ChatCommandTest, FlagsGoIntoTheRequest) {
  ASSERT_EQ(Run({"--system", "Be kind.", "--temperature", "0.5", "--timeout-ms",
                 "50", "--template-option", "date=2026-11-28", "--model",
                 "tales", "--stop", "END"},
                "Hello\n")
                .code,
            0);
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.session_id(), "");
  EXPECT_EQ(turn.messages().messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(turn.options().temperature(), 0.5f);
  EXPECT_EQ(turn.options().stop_strings(0), "END");
  EXPECT_EQ(turn.timeout_ms(), 50);
  EXPECT_EQ(turn.template_options().at("date").text_value(), "2026-11-28");
}

TEST_F(ChatCommandTest, ASessionGoesOn) {
  ASSERT_EQ(Run({"--session", "5e55"}, "Hello\n").code, 0);
  EXPECT_EQ(service_.last_turn().session_id(), "5e55");
}

TEST_F(ChatCommandTest, CommandsWorkInAScriptToo) {
  const RunResult result =
      Run({}, "/set top-k 7\nHello\n/stats\n/retry 9\n/quit\nnever\n");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("Once upon\ntokens: 2 in"));
  EXPECT_THAT(result.out, HasSubstr("conversation: 1 turns, 2 tokens"));
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.options().top_k(), 7);
  EXPECT_EQ(turn.options().seed(), 9u);
  EXPECT_EQ(turn.session_id(), "") << "the first reply is not history";
  EXPECT_EQ(turn.messages().messages_size(), 1);
}

TEST_F(ChatCommandTest, ThePlainFormSendsTexts) {
  service_.has_chat_template = false;
  RunResult result = Run({}, "Hello\n");
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.err,
            "tandem: the model tales has no chat template that can be run: "
            "--plain goes on without one, from the texts as they are\n");
  result = Run({"--plain"}, "Hello\n");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(service_.last_turn().text(), "Hello");
  for (const char* flag : {"--system=Be kind.", "--template-option=a=1"}) {
    result = Run({"--plain", flag}, "Hello\n");
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.err, HasSubstr("does not go with --plain"));
  }
}

TEST_F(ChatCommandTest, TheFirstErrorEndsAScript) {
  RunResult result = Run({}, "/hlep\nHello\n");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("did you mean /help?"));
  EXPECT_EQ(Run({}, "a\xff\n").code, 2);
  EXPECT_EQ(Run({"--temperature", "-1"}, "").code, 2);
  EXPECT_EQ(Run({"--model", "nonesuch"}, "Hello\n").code, 1);
  EXPECT_EQ(Run({"--logprobs", "1"}, "Hello\n").code, 2);
}

TEST(ChatWithoutServiceTest, NamesTheRemedy) {
  const RunResult result =
      RunTandem({"chat", "--coordinator", "unix:/nonexistent"}, "Hello\n");
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach the coordinator at"));
}

}  // namespace
}  // namespace tandem::cli
