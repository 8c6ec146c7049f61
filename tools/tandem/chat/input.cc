#include "tools/tandem/chat/input.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <istream>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/check.h"
#include "engine/base/status.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/chat/history_file.h"
#include "tools/tandem/chat/terminal_signals.h"

namespace tandem::cli {
namespace {

constexpr char kPrompt[] = "> ";
constexpr char kContinuedPrompt[] = ". ";
// After SIGTERM a cancelled turn has this long to end by itself.
constexpr int kEndTimeoutMs = 3000;

// Reads lines by `read`, which gets the prompt, until one does not end in a
// backslash.
template <typename ReadLine>
ChatInput::Line ReadJoined(const ReadLine& read) {
  ChatInput::Line joined = {.kind = ChatInput::Line::Kind::kText};
  const char* prompt = kPrompt;
  while (true) {
    ChatInput::Line line = read(prompt);
    if (line.kind != ChatInput::Line::Kind::kText) return line;
    const bool goes_on = absl::EndsWith(line.text, "\\");
    if (goes_on) line.text.back() = '\n';
    joined.text += line.text;
    if (joined.text.size() > kInputBytesMax) {
      return {.kind = ChatInput::Line::Kind::kEnd};
    }
    if (!goes_on) return joined;
    prompt = kContinuedPrompt;
  }
}

// What threads of gRPC bring to the thread of the chat.
struct Mailbox {
  Mailbox() : wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    TANDEM_CHECK(wake.is_open());
  }
  void Wake() const {
    const uint64_t one = 1;
    TANDEM_CHECK(write(wake.number(), &one, sizeof(one)) == sizeof(one));
  }

  const Descriptor wake;
  absl::Mutex mutex;
  std::optional<client::NextEvent> event ABSL_GUARDED_BY(mutex);
  bool is_lost ABSL_GUARDED_BY(mutex) = false;
};

// Standard input's terminal without echo, for as long as this stands: what is
// typed during a reply is read by the next prompt.
class QuietTerminal {
 public:
  QuietTerminal() {
    is_set_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    Set();
  }
  ~QuietTerminal() {
    if (is_set_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;

  // Again, after a shell has set its own mode.
  void Set() {
    if (!is_set_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
  }

 private:
  termios before_ = {};
  bool is_set_ = false;
};

class TerminalInput final : public ChatInput {
 public:
  explicit TerminalInput(const std::string& history_path)
      : history_(history_path), mailbox_(std::make_shared<Mailbox>()) {}

  absl::Status Init() {
    TANDEM_ASSIGN_OR_RETURN(editor_, LineEditor::Make({.history = &history_,
                                                       .signals = &signals_}));
    return absl::OkStatus();
  }

  Line Read() override {
    Line line = ReadJoined(
        [this](const char* prompt) { return editor_->Read(prompt); });
    if (line.kind == Line::Kind::kTerminated) is_terminated_ = true;
    return line;
  }

  absl::Status Remember(const std::string& line) override {
    return history_.Add(line);
  }

  void BeginReply() override {
    interrupts_ = 0;
    quiet_.emplace();
  }
  void EndReply() override { quiet_.reset(); }

  client::NextEvent Next(client::TurnStream* turn,
                         const std::function<void()>& on_lost) override {
    turn->Next([mailbox = mailbox_](client::NextEvent event) {
      {
        absl::MutexLock lock(&mailbox->mutex);
        mailbox->event = std::move(event);
      }
      mailbox->Wake();
    });
    while (true) {
      if (TakeLost()) on_lost();
      if (std::optional<client::NextEvent> event = TakeEvent()) {
        return *std::move(event);
      }
      Wait(turn);
    }
  }

  std::function<void(const client::LostConnection&)> OnLost() override {
    return [mailbox = mailbox_](const client::LostConnection& lost) {
      if (lost.attempt > 1) return;  // one note for each loss
      {
        absl::MutexLock lock(&mailbox->mutex);
        mailbox->is_lost = true;
      }
      mailbox->Wake();
    };
  }

  bool is_terminated() const override { return is_terminated_; }

 private:
  bool TakeLost() {
    absl::MutexLock lock(&mailbox_->mutex);
    return std::exchange(mailbox_->is_lost, false);
  }
  std::optional<client::NextEvent> TakeEvent() {
    absl::MutexLock lock(&mailbox_->mutex);
    return std::exchange(mailbox_->event, std::nullopt);
  }

  // Until something is in the mailbox or a signal was obeyed.
  void Wait(client::TurnStream* turn) {
    pollfd fds[2] = {
        {.fd = mailbox_->wake.number(), .events = POLLIN, .revents = 0},
        {.fd = signals_.descriptor(), .events = POLLIN, .revents = 0}};
    const int ready = poll(fds, 2, is_terminated_ ? kEndTimeoutMs : -1);
    if (ready < 0) {
      TANDEM_CHECK(errno == EINTR);
      return;
    }
    if (ready == 0) turn->Leave();
    uint64_t wakes = 0;
    if (fds[0].revents != 0) {
      (void)!read(mailbox_->wake.number(), &wakes, sizeof(wakes));
    }
    for (const int signal : signals_.Take()) Obey(signal, turn);
  }

  void Obey(int signal, client::TurnStream* turn) {
    if (signal == SIGCONT) quiet_->Set();
    if (signal == SIGTERM) is_terminated_ = true;
    if (signal != SIGINT && signal != SIGTERM) return;
    if (++interrupts_ == 1) {
      turn->Cancel();
    } else {
      turn->Leave();
    }
  }

  TerminalSignals signals_;  // first: before other threads
  HistoryFile history_;
  std::unique_ptr<LineEditor> editor_;
  const std::shared_ptr<Mailbox> mailbox_;
  std::optional<QuietTerminal> quiet_;
  int interrupts_ = 0;
  bool is_terminated_ = false;
};

class PipedInput final : public ChatInput {
 public:
  explicit PipedInput(const Io& io) : io_(io) {}

  Line Read() override {
    if (interrupt_.came()) return {.kind = Line::Kind::kTerminated};
    // Nothing here ends a read of standard input that waits.
    interrupt_.SetUnderWay([] { _exit(kExitInterrupted); });
    Line line = ReadJoined([this](const char* /*prompt*/) -> Line {
      std::string text;
      if (!std::getline(*io_.in, text)) return {.kind = Line::Kind::kEnd};
      return {.kind = Line::Kind::kText, .text = std::move(text)};
    });
    interrupt_.SetUnderWay(nullptr);
    return line;
  }

  absl::Status Remember(const std::string& /*line*/) override {
    return absl::OkStatus();
  }
  void BeginReply() override { is_reached_ = false; }
  void EndReply() override { interrupt_.SetUnderWay(nullptr); }

  client::NextEvent Next(client::TurnStream* turn,
                         const std::function<void()>& /*on_lost*/) override {
    if (!std::exchange(is_reached_, true)) {
      interrupt_.SetUnderWay([turn] { turn->Cancel(); });
    }
    return turn->Next();
  }

  std::function<void(const client::LostConnection&)> OnLost() override {
    return nullptr;
  }
  bool is_terminated() const override { return interrupt_.came(); }

 private:
  const Io& io_;
  Interrupt interrupt_;
  bool is_reached_ = false;  // by Ctrl-C, the turn under way
};

}  // namespace

absl::StatusOr<std::unique_ptr<ChatInput>> MakeTerminalInput(
    const std::string& history_path) {
  auto input = std::make_unique<TerminalInput>(history_path);
  TANDEM_RETURN_IF_ERROR(input->Init());
  return input;
}

std::unique_ptr<ChatInput> MakePipedInput(const Io& io) {
  return std::make_unique<PipedInput>(io);
}

}  // namespace tandem::cli
