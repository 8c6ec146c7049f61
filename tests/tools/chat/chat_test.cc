#include "tools/tandem/chat/chat.h"

#include <unistd.h>

#include <deque>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"

namespace tandem::cli {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Kind = ChatInput::Line::Kind;

// Reads from a script.
class ScriptedInput final : public ChatInput {
 public:
  Line Read() override {
    if (lines.empty()) return {.kind = Kind::kEnd};
    Line line = lines.front();
    lines.pop_front();
    if (before_line) before_line(line.text);
    return line;
  }
  absl::Status Remember(const std::string& line) override {
    remembered.push_back(line);
    return absl::OkStatus();
  }
  void BeginReply() override {}
  void EndReply() override {}
  client::NextEvent Next(client::TurnStream* turn,
                         const std::function<void()>& on_lost) override {
    if (loses_connection) on_lost();
    client::NextEvent event = turn->Next();
    if (cancels) turn->Cancel();
    return event;
  }
  std::function<void(const client::LostConnection&)> OnLost() override {
    return nullptr;
  }
  bool is_terminated() const override { return terminated; }

  std::deque<Line> lines;
  std::vector<std::string> remembered;
  std::function<void(const std::string&)> before_line;
  bool cancels = false;
  bool loses_connection = false;
  bool terminated = false;
};

class ChatTest : public ::testing::Test {
 protected:
  // The exit of a chat in which `lines` are typed.
  absl::Status Run(const std::vector<std::string>& lines,
                   ConversationOptions conversation = {}) {
    for (const std::string& line : lines) {
      input_.lines.push_back({.kind = Kind::kText, .text = line});
    }
    return RunScript(std::move(conversation));
  }
  absl::Status RunScript(ConversationOptions conversation = {}) {
    ConnectionFlags flags;
    flags.coordinator = service_.address();
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Make(flags);
    EXPECT_TRUE(client.ok()) << client.status();
    Screen screen(io_, Screen::Colour::kNo);
    Chat chat({.conversation = std::move(conversation),
               .is_interactive = is_interactive_},
              {.client = client->get(), .input = &input_, .screen = &screen});
    return chat.Run();
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  FakeService service_;
  ScriptedInput input_;
  std::ostringstream out_;
  std::ostringstream err_;
  Io io_ = {.out = &out_, .err = &err_, .out_is_terminal = true};
  bool is_interactive_ = true;
};

TEST_F(ChatTest, AReplyIsFollowedByItsFigures) {
  EXPECT_TRUE(Run({"Hello"}).ok());
  EXPECT_THAT(out(), HasSubstr("Once upon\n(cut by max-tokens: /set "
                               "max-tokens N allows more)\n4.0 tokens/s, 25% "
                               "of 4 drafted tokens accepted, first token "
                               "after 120 ms"));
  EXPECT_EQ(err(), "");
  EXPECT_THAT(input_.remembered, ::testing::ElementsAre("Hello"));
}

TEST_F(ChatTest, AnErrorIsShownAndTheChatGoesOn) {
  service_.error = NoWorker("no worker is there");
  input_.before_line = [this](const std::string& line) {
    if (line == "/retry") service_.error = absl::OkStatus();
  };
  EXPECT_TRUE(Run({"Hello", "/hlep", "/retry"}).ok());
  EXPECT_THAT(err(), HasSubstr("tandem: no worker is there; /retry tries "
                               "again, /save FILE keeps the conversation\n"));
  EXPECT_THAT(err(), HasSubstr("did you mean /help?"));
  EXPECT_THAT(out(), HasSubstr("Once upon\n"));
  EXPECT_EQ(service_.last_turn().messages().messages(0).content(), "Hello");
}

TEST_F(ChatTest, RetryAnswersTheLastMessageAgain) {
  EXPECT_TRUE(Run({"a", "/set seed 5", "b", "/retry"}).ok()) << err();
  v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.session_id(), "");
  EXPECT_FALSE(turn.options().has_seed()) << "with another seed";
  ASSERT_EQ(turn.messages().messages_size(), 3);
  EXPECT_EQ(turn.messages().messages(1).role(), v1::CHAT_ROLE_ASSISTANT);
  EXPECT_EQ(turn.messages().messages(1).content(), "Once upon");
  EXPECT_EQ(turn.messages().messages(2).content(), "b");
  EXPECT_TRUE(Run({"/retry"}).ok());
  EXPECT_THAT(err(), HasSubstr("no message yet"));
  EXPECT_TRUE(Run({"a", "/retry x"}).ok());
  EXPECT_THAT(err(), HasSubstr("/retry \"x\": a seed is a whole number"));
}

TEST_F(ChatTest, ASessionThatIsForgottenIsToldAgain) {
  service_.forgets_sessions = true;
  EXPECT_TRUE(Run({"a", "b"}).ok());
  EXPECT_THAT(out(), HasSubstr("(the service has forgotten the session"));
  EXPECT_EQ(service_.last_turn().messages().messages_size(), 3);
  EXPECT_EQ(err(), "");
  // One of which only the end is known can not be.
  EXPECT_TRUE(Run({"a"}, {.session_id = "5e55"}).ok());
  EXPECT_THAT(err(), HasSubstr("there is no such session"));
  EXPECT_THAT(err(), HasSubstr("/new"));
}

TEST_F(ChatTest, AStreamThatBreaksKeepsWhatCame) {
  service_.end_early = true;
  const std::string path =
      absl::StrCat(::testing::TempDir(), "cut-", getpid(), ".md");
  EXPECT_TRUE(Run({"a", "/save! " + path}).ok());
  EXPECT_THAT(out(), HasSubstr("Once upon\n"));
  EXPECT_THAT(err(), HasSubstr("tandem: "));
  std::ostringstream saved;
  saved << std::ifstream(path).rdbuf();
  EXPECT_THAT(saved.str(), HasSubstr("Once upon"));
  EXPECT_THAT(saved.str(), HasSubstr("The reply was cut"));
  unlink(path.c_str());
}

TEST_F(ChatTest, ACancelledReplyIsHistory) {
  service_.wait_for_cancel = true;
  input_.cancels = true;
  EXPECT_TRUE(Run({"a", "b"}).ok());
  EXPECT_THAT(out(), HasSubstr("Once upon\n(cancelled)\n"));
  EXPECT_NE(service_.last_turn().session_id(), "");
}

TEST_F(ChatTest, ALostConnectionIsNoted) {
  input_.loses_connection = true;
  EXPECT_TRUE(Run({"a"}).ok());
  EXPECT_THAT(out(), HasSubstr("(the connection is lost: trying to go on)"));
}

TEST_F(ChatTest, CtrlCTwiceLeavesAndOnceDoesNot) {
  const ChatInput::Line interrupt = {.kind = Kind::kInterrupted};
  const ChatInput::Line hello = {.kind = Kind::kText, .text = "Hello"};
  input_.lines = {interrupt, hello, interrupt, interrupt, hello};
  EXPECT_TRUE(RunScript().ok());
  EXPECT_EQ(input_.remembered.size(), 1u);
  EXPECT_EQ(input_.lines.size(), 1u);
}

TEST_F(ChatTest, BeingTerminatedIsNoLeaving) {
  input_.lines = {{.kind = Kind::kTerminated}};
  EXPECT_TRUE(absl::IsCancelled(RunScript()));
  input_.terminated = true;
  EXPECT_TRUE(absl::IsCancelled(Run({"Hello"})));
}

TEST_F(ChatTest, CommandsShowWhatTheyAreAskedFor) {
  EXPECT_TRUE(Run({"/help", "/set", "/model", "/system", "/system Be kind.",
                   "/system", "/stats", "", "  "})
                  .ok());
  for (const char* part :
       {"/retry [SEED]", "temperature", "numerics: int8", "target workers: 2",
        "(no system message", "Be kind.\n"}) {
    EXPECT_THAT(out(), HasSubstr(part));
  }
  EXPECT_THAT(err(), HasSubstr("there is no turn yet"));
  EXPECT_THAT(err(), Not(HasSubstr("empty")));
}

TEST_F(ChatTest, SetNamesWhatIsMissing) {
  EXPECT_TRUE(Run({"/set temperature", "/set top-k=5", "a"}).ok());
  EXPECT_THAT(err(), HasSubstr("write /set temperature VALUE"));
  EXPECT_EQ(service_.last_turn().options().top_k(), 5);
}

TEST_F(ChatTest, NewBeginsAnew) {
  EXPECT_TRUE(Run({"a", "/new", "b"}, {.system = "s"}).ok());
  EXPECT_EQ(service_.last_turn().session_id(), "");
  EXPECT_EQ(service_.last_turn().messages().messages_size(), 2);
}

TEST_F(ChatTest, WithoutATerminalTheFirstErrorIsTheResult) {
  is_interactive_ = false;
  service_.error = NoWorker("no worker is there");
  EXPECT_EQ(Run({"a", "b"}).message(), "no worker is there");
  EXPECT_EQ(input_.lines.size(), 1u);
}

}  // namespace
}  // namespace tandem::cli
