#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/status_conversion.h"
#include "tests/services/client/fake_turns.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class GenerateTest : public ::testing::Test {
 protected:
  RunResult Run(std::vector<std::string> arguments,
                const std::string& input = "",
                StandardError standard_error = StandardError::kFile) {
    arguments.insert(arguments.begin(),
                     {"generate", "--coordinator", service_.address()});
    return RunTandem(arguments, input, standard_error);
  }

  FakeService service_;
};

TEST_F(GenerateTest, PrintsTheTextAndANewline) {
  service_.held_back = " a";
  const RunResult result = Run({"Tell"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "Once upon a\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(service_.last_turn().text(), "Tell");
}

TEST_F(GenerateTest, TextThatEndsALineGetsNoSecondNewline) {
  service_.texts = {"one\n"};
  EXPECT_EQ(Run({"Tell"}).out, "one\n");
}

TEST_F(GenerateTest, SendsEveryOptionAndNothingElse) {
  const RunResult result = Run({"p",
                                "--max-tokens",
                                "9",
                                "--temperature",
                                "0.5",
                                "--top-p",
                                "0.25",
                                "--top-k",
                                "3",
                                "--min-p",
                                "0.125",
                                "--repetition-penalty",
                                "1.5",
                                "--presence-penalty",
                                "-1",
                                "--frequency-penalty",
                                "2",
                                "--logit-bias",
                                "5=-inf",
                                "--logit-bias",
                                "6=1.5",
                                "--seed",
                                "18446744073709551615",
                                "--stop-token",
                                "7",
                                "--stop-token",
                                "8",
                                "--stop",
                                "END",
                                "--stop",
                                "a b",
                                "--ignore-eos",
                                "--logprobs",
                                "2",
                                "--draft-length",
                                "0",
                                "--model",
                                "m",
                                "--session",
                                "s",
                                "--timeout-ms",
                                "50",
                                "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.model_id(), "m");
  EXPECT_EQ(turn.session_id(), "s");
  EXPECT_EQ(turn.timeout_ms(), 50);
  EXPECT_EQ(turn.options().seed(), 18446744073709551615u);
  EXPECT_EQ(turn.options().stop_strings(1), "a b");
  EXPECT_EQ(turn.options().presence_penalty(), -1.0f);
  Run({"p"});
  EXPECT_EQ(service_.last_turn().options().ByteSizeLong(), 0u)
      << service_.last_turn().options().ShortDebugString();
}

TEST_F(GenerateTest, SamplesAreChoicesOfOneSeed) {
  const RunResult text = Run({"p", "--samples", "3", "--seed", "9"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out,
            "==> sample 0 <==\nOnce upon\n\n==> sample 1 <==\nOnce upon\n\n"
            "==> sample 2 <==\nOnce upon\n");
  EXPECT_EQ(text.err, "");
  EXPECT_EQ(service_.turns().size(), 3u);
  const RunResult json = Run({"p", "-n", "2", "--json"});
  EXPECT_EQ(json.code, 0) << json.err;
  std::istringstream lines(json.out);
  for (int choice = 0; choice < 2; ++choice) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << json.out;
    const auto object = nlohmann::json::parse(line);
    EXPECT_EQ(object["choice"], choice);
    EXPECT_EQ(object["token_ids"][0], 1000 * choice + 100);
  }
  for (const std::string single :
       {"--session", "--choice-index", "--receipt"}) {
    const RunResult refused = Run({"p", "-n", "2", single, "1"});
    EXPECT_EQ(refused.code, 2) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("does not go with " + single));
  }
  EXPECT_EQ(Run({"p", "-n", "65"}).code, 2);
}

// The events of a reply with reasoning, an answer and a call.
void GiveParts(FakeService* service) {
  service->texts = {"<think>so", "</think>", "Yes", "<call>"};
  service->replies.resize(4);
  service->replies[0].set_reasoning("so");
  service->replies[2].set_content("Yes");
  v1::ToolCallDelta* call = service->replies[3].add_tool_calls();
  call->set_id("call_1");
  call->set_name("f");
  call->set_arguments(R"({"a": 1})");
}

constexpr char kPrintedParts[] =
    "Yes\n"
    R"({"id":"call_1","name":"f","arguments":{"a":1}})"
    "\n";

TEST_F(GenerateTest, AScriptGetsTheAnswerAndTheCalls) {
  GiveParts(&service_);
  const RunResult result = Run({"Tell"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, kPrintedParts);
  EXPECT_EQ(result.err, "");
  const RunResult samples = Run({"Tell", "-n", "2"});
  EXPECT_EQ(samples.out, absl::StrCat("==> sample 0 <==\n", kPrintedParts,
                                      "\n==> sample 1 <==\n", kPrintedParts));
}

TEST_F(GenerateTest, JsonHasTheTextAndTheParts) {
  GiveParts(&service_);
  const auto json = nlohmann::json::parse(Run({"Tell", "--json"}).out);
  EXPECT_EQ(json["text"], "<think>so</think>Yes<call>");
  EXPECT_EQ(json["reply"]["reasoning"], "so");
  EXPECT_EQ(json["reply"]["content"], "Yes");
  EXPECT_EQ(json["reply"]["tool_calls"][0]["arguments"]["a"], 1);
}

TEST_F(GenerateTest, ChatSendsMessages) {
  ASSERT_EQ(Run({"Hello", "--chat"}).code, 0);
  v1::TurnRequest turn = service_.last_turn();
  EXPECT_FALSE(turn.has_text());
  ASSERT_EQ(turn.messages().messages_size(), 1);
  EXPECT_EQ(turn.messages().messages(0).role(), v1::CHAT_ROLE_USER);
  EXPECT_EQ(turn.messages().messages(0).content(), "Hello");
  // --system implies it.
  ASSERT_EQ(Run({"--system", "Be brief."}, "Hi").code, 0);
  turn = service_.last_turn();
  ASSERT_EQ(turn.messages().messages_size(), 2);
  EXPECT_EQ(turn.messages().messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(turn.messages().messages(0).content(), "Be brief.");
  EXPECT_EQ(turn.messages().messages(1).content(), "Hi");
  EXPECT_EQ(Run({"a", "--system", "\xff"}).code, 2);
}

TEST_F(GenerateTest, AConversationWithToolsIsSent) {
  const std::string tools =
      absl::StrCat(::testing::TempDir(), "tools-", getpid(), ".json");
  std::ofstream(tools) << R"([{"type": "function",
                               "function": {"name": "clock"}}])";
  const RunResult result =
      Run({"--messages", "-", "--tools", tools, "--tool-choice", "clock"},
          R"([{"role": "user", "content": "What time is it?"}])");
  ASSERT_EQ(result.code, 0) << result.err;
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.messages().messages(0).content(), "What time is it?");
  EXPECT_EQ(turn.tools(0).name(), "clock");
  EXPECT_EQ(turn.tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(turn.tool_name(), "clock");
  EXPECT_TRUE(turn.split_reply());
  const RunResult wrong = Run({"--messages", "-"}, "[{}]");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("--messages -: messages[0].role must be"));
}

TEST_F(GenerateTest, TemplateOptionsGoWithAChat) {
  ASSERT_EQ(
      Run({"Hello", "--chat", "--template-option", "enable_thinking=false",
           "--template-option", "date=2026-11-28"})
          .code,
      0);
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.template_options_size(), 2);
  EXPECT_FALSE(turn.template_options().at("enable_thinking").bool_value());
  EXPECT_EQ(turn.template_options().at("date").text_value(), "2026-11-28");
  // --system implies --chat.
  EXPECT_EQ(Run({"Hello", "--system", "s", "--template-option", "a=1"}).code,
            0);
  const RunResult alone = Run({"Hello", "--template-option", "a=1"});
  EXPECT_EQ(alone.code, 2);
  EXPECT_THAT(alone.err, HasSubstr("add --chat"));
  const RunResult shadows =
      Run({"Hello", "--chat", "--template-option", "tools=1"});
  EXPECT_EQ(shadows.code, 2);
  EXPECT_THAT(shadows.err, HasSubstr("--template-option tools"));
}

TEST_F(GenerateTest, SpecialTokensInThePromptAreAskedFor) {
  ASSERT_EQ(Run({"<s>a"}).code, 0);
  EXPECT_FALSE(service_.last_turn().parse_special());
  ASSERT_EQ(Run({"<s>a", "--special"}).code, 0);
  EXPECT_TRUE(service_.last_turn().parse_special());
  const RunResult both = Run({"a", "--special", "--chat"});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, HasSubstr("--special"));
}

TEST_F(GenerateTest, JsonIsOneObject) {
  const RunResult result =
      Run({"p", "--json", "--seed", "11", "--logprobs", "1"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["token_ids"], (std::vector<int>{100, 101}));
  EXPECT_EQ(json["text"], "Once upon");
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["seed"], 11);
  EXPECT_EQ(json["usage"]["generated_tokens"], 2);
  EXPECT_EQ(json["speculation"]["acceptance_rate"], 0.25);
  EXPECT_EQ(json["logprobs"].size(), 2u);
}

TEST_F(GenerateTest, JsonHasTheScoresOfThePrompt) {
  RunResult result = Run({"p", "--json", "--prompt-logprobs", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(service_.last_turn().prompt_logprobs(), 2);
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["prompt_logprobs"].size(), 3u);
  EXPECT_EQ(json["prompt_logprobs"][2]["token_id"], 12);
  EXPECT_EQ(json["prompt_logprobs"][2]["logprob"], -1);
  EXPECT_EQ(json["text"], "Once upon");

  result = Run({"p", "--json"});
  EXPECT_FALSE(service_.last_turn().has_prompt_logprobs());
  EXPECT_THAT(result.out, Not(HasSubstr("prompt_logprobs")));
  Run({"p", "--json", "--prompt-logprobs", "0"});
  EXPECT_TRUE(service_.last_turn().has_prompt_logprobs());

  for (const auto& [flags, words] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"p", "--prompt-logprobs", "1"}, "add --json"},
           {{"p", "--prompt-logprobs", "1", "--json", "-n", "2"}, "--samples"},
           {{"p", "--prompt-logprobs", "21", "--json"}, "--prompt-logprobs"},
           {{"p", "--prompt-logprobs", "x", "--json"}, "--prompt-logprobs"}}) {
    result = Run(flags);
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.err, HasSubstr(words));
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(GenerateTest, StatsGoToStandardError) {
  const RunResult result = Run({"p", "--stats"});
  EXPECT_EQ(result.out, "Once upon\n");
  EXPECT_THAT(result.err, HasSubstr("1 of 4 drafted tokens accepted (25.0%)"));
  EXPECT_THAT(result.err, HasSubstr("verify 40% (200 ms)"));
}

TEST_F(GenerateTest, TheSessionIsShownToPeopleAndNotToScripts) {
  const std::string line =
      "go on with: tandem generate --session 0123456789abcdef0123456789abcdef";
  EXPECT_THAT(Run({"p", "--stats"}).err, HasSubstr(line + " 'TEXT'\n"));
  EXPECT_THAT(Run({"p", "--stats", "--chat"}).err,
              HasSubstr(line + " --chat 'TEXT'\n"));
  service_.turn_number = 1;
  EXPECT_THAT(Run({"p"}, "", StandardError::kTerminal).err, HasSubstr(line));
  EXPECT_EQ(Run({"p"}).err, "");
  EXPECT_EQ(Run({"p", "--json"}, "", StandardError::kTerminal).err, "");
  service_.turn_number = 2;  // who typed --session knows it
  EXPECT_EQ(Run({"p"}, "", StandardError::kTerminal).err, "");
}

TEST_F(GenerateTest, EchoPutsThePromptBeforeTheText) {
  EXPECT_EQ(Run({"Tell: ", "--echo"}).out, "Tell: Once upon\n");
  EXPECT_EQ(Run({"--echo"}, "piped ").out, "piped Once upon\n");
  for (const char* flag : {"--chat", "--system=Be brief."}) {
    const RunResult chat = Run({"Tell: ", "--echo", flag});
    EXPECT_EQ(chat.code, 2);
    EXPECT_THAT(chat.err, HasSubstr("--echo"));
  }
  service_.error = absl::UnavailableError("down");
  EXPECT_EQ(Run({"Tell: ", "--echo"}).out, "") << "no turn, no prompt";
  service_.error = absl::OkStatus();
  EXPECT_THAT(Run({"Tell: ", "--echo", "--json"}).out, StartsWith("{"));
}

TEST_F(GenerateTest, PromptFromStandardInputOrFile) {
  Run({"-"}, "from input\n");
  EXPECT_EQ(service_.last_turn().text(), "from input\n");
  Run({}, "piped");
  EXPECT_EQ(service_.last_turn().text(), "piped");
  const std::string path =
      absl::StrCat(::testing::TempDir(), "prompt-", getpid(), ".txt");
  std::ofstream(path) << "from file";
  Run({"--prompt-file", path});
  EXPECT_EQ(service_.last_turn().text(), "from file");
  unlink(path.c_str());
}

TEST_F(GenerateTest, WrongUsageNamesTheFlag) {
  RunResult result = Run({"p", "--temperature", "-1"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, StartsWith("tandem: --temperature: "));
  result = Run({"p", "--logprobs", "1"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("add --json"));
  result = Run({"\xff", "--json"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("the prompt is not UTF-8 at byte 0"));
}

TEST_F(GenerateTest, ErrorsOfTheServiceAreInFlagsAndCommands) {
  service_.error = MakeError(absl::StatusCode::kNotFound,
                             {.reason = kReasonUnknownModel, .violations = {}},
                             "no model \"m\"; ListModels tells what is");
  RunResult result = Run({"p", "--model", "m"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err,
            "tandem: --model \"m\" is not served: `tandem models` lists what "
            "is\n");
  service_.error = MakeError(
      absl::StatusCode::kInvalidArgument,
      {.reason = kReasonInvalidOptions,
       .violations = {{.field = "start.options.stop_token_ids[0]",
                       .description = "must be a token id below 9, is 10"}}},
      "invalid options");
  result = Run({"p", "--stop-token", "10"});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err,
            "tandem: --stop-token (number 1): must be a token id below 9, is "
            "10\n");
}

// One mistake has one exit code, whoever finds it.
TEST_F(GenerateTest, MistakesThatTheServiceFindsAreWrongUsage) {
  const struct {
    const char* reason;
    std::vector<FieldViolation> violations;
    int code;
  } cases[] = {
      {kReasonInvalidOptions, {{.field = "seed", .description = "no"}}, 2},
      {kReasonInvalidText, {}, 2},
      {kReasonInvalidToken, {}, 2},
      {kReasonEmptyPrompt, {}, 2},
      {kReasonUnknownModel, {{.field = "model_id", .description = "a, b"}}, 2},
      {kReasonUnknownModel, {}, 1},
      {kReasonUnknownSession, {}, 1},
      {kReasonContextExceeded, {}, 1}};
  for (const auto& [reason, violations, code] : cases) {
    service_.error =
        MakeError(absl::StatusCode::kInvalidArgument,
                  {.reason = reason, .violations = violations}, "refused");
    EXPECT_EQ(Run({"p"}).code, code) << reason << violations.size();
  }
}

TEST_F(GenerateTest, AStreamWithoutEndIsAnError) {
  service_.end_early = true;
  const RunResult result = Run({"p"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "Once upon\n");
  EXPECT_THAT(result.err, HasSubstr("the stream ended before the turn"));
}

// People see that it waits; a script's standard error stays empty.
TEST(GenerateResumesTest, TheTextGoesOnAfterALostConnection) {
  for (const StandardError err :
       {StandardError::kTerminal, StandardError::kFile}) {
    client::FakeTurns service;
    service.turn_number = 2;  // no line about the session
    service.Expect({{.events = 3,
                     .status = grpc::Status(grpc::StatusCode::UNAVAILABLE,
                                            "Socket closed")}});
    const RunResult result = RunTandem(
        {"generate", "p", "--coordinator", service.address()}, "", err);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, service.Text() + "\n");
    EXPECT_EQ(result.err, err == StandardError::kFile
                              ? ""
                              : "\ntandem: the connection is lost; the text "
                                "goes on when it is back\n");
  }
}

TEST(GenerateResumesTest, ATurnBeginsWhenTheServicesStoreIsBack) {
  client::FakeTurns service;
  service.turn_number = 2;  // no line about the session
  service.Expect({{.events = 0,
                   .status = ToGrpcStatus(MakeError(
                       absl::StatusCode::kUnavailable,
                       {.reason = kReasonStoreUnavailable}, "away"))}});
  const RunResult result =
      RunTandem({"generate", "p", "--coordinator", service.address()}, "",
                StandardError::kTerminal);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, service.Text() + "\n");
  EXPECT_EQ(result.err,
            "\ntandem: the service's store is away; the turn goes on when it "
            "is back\n");
}

TEST(GenerateWithoutServiceTest, NamesTheRemedy) {
  const RunResult result =
      RunTandem({"generate", "p", "--coordinator", "unix:/nonexistent"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, StartsWith("tandem: cannot reach the coordinator at "
                                     "unix:/nonexistent: there is no such "
                                     "socket; start one with "
                                     "tandem-coordinator --target ADDRESS"));
  EXPECT_THAT(result.err.substr(0, result.err.size() - 1),
              Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace tandem::cli
