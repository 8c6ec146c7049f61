// What comes from a pipe; the terminal's lines are tested in
// line_editor_test.cc, and the whole in system/terminal_chat_test.py.

#include "tools/tandem/chat/input.h"

#include <signal.h>
#include <unistd.h>

#include <sstream>

#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tools/tandem/base/client.h"

namespace tandem::cli {
namespace {

using Kind = ChatInput::Line::Kind;

TEST(PipedInputTest, ReadsLinesToTheEnd) {
  std::istringstream in("one\n\ntwo\\\nthree\\\n\nfour");
  const Io io = {.in = &in};
  const std::unique_ptr<ChatInput> input = MakePipedInput(io);
  for (const char* text : {"one", "", "two\nthree\n", "four"}) {
    const ChatInput::Line line = input->Read();
    EXPECT_EQ(line.kind, Kind::kText);
    EXPECT_EQ(line.text, text);
  }
  EXPECT_EQ(input->Read().kind, Kind::kEnd);
  EXPECT_TRUE(input->Remember("one").ok());
  EXPECT_FALSE(input->is_terminated());
}

// In a process of its own, where no thread of before takes the signal. 0: as it
// should be, else the step that was wrong.
int CancelByCtrlC() {
  std::istringstream in("one\ntwo\n");
  const Io io = {.in = &in};
  const std::unique_ptr<ChatInput> input = MakePipedInput(io);
  if (input->Read().kind != Kind::kText) return 1;
  FakeService service;
  service.wait_for_cancel = true;
  ConnectionFlags flags;
  flags.coordinator = service.address();
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Make(flags);
  if (!client.ok()) return 2;
  const auto turn = (*client)->Start({}, {});
  input->BeginReply();
  client::NextEvent event = input->Next(turn.get(), nullptr);
  kill(getpid(), SIGINT);
  v1::FinishReason reason = v1::FINISH_REASON_UNSPECIFIED;
  while (event.ok() && event->has_value()) {
    if ((*event)->has_ended()) reason = (*event)->ended().finish_reason();
    event = input->Next(turn.get(), nullptr);
  }
  input->EndReply();
  if (reason != v1::FINISH_REASON_CANCELLED) return 3;
  if (!input->is_terminated()) return 4;
  return input->Read().kind == Kind::kTerminated ? 0 : 5;
}

TEST(PipedInputDeathTest, CtrlCCancelsTheTurnAndEndsTheInput) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(_exit(CancelByCtrlC()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tandem::cli
