// A line that is typed at a terminal, by libedit: its keys and those of the
// user's ~/.editrc, history, UTF-8, and pasted text, whose lines stay together
// (bracketed paste). The terminal is in its usual mode but while Read waits.
// One thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_LINE_EDITOR_H_
#define TANDEM_TOOLS_TANDEM_CHAT_LINE_EDITOR_H_

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tools/tandem/chat/history_file.h"
#include "tools/tandem/chat/terminal_signals.h"

struct editline;  // libedit's

namespace tandem::cli {

// Characters of one paste that are kept; more are dropped. A message has at
// most 4 MiB, and the line is drawn anew with each key.
inline constexpr size_t kPastedCharactersMax = 1 << 20;

class LineEditor {
 public:
  struct Options {
    FILE* in = stdin;  // terminals
    FILE* out = stdout;
    FILE* err = stderr;
    HistoryFile* history = nullptr;      // outlives the editor, as `signals`
    TerminalSignals* signals = nullptr;  // SIGINT, SIGTERM: Read returns
  };
  // UNAVAILABLE where the terminal can not be used.
  static absl::StatusOr<std::unique_ptr<LineEditor>> Make(
      const Options& options);
  ~LineEditor();

  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  struct Line {
    enum class Kind {
      kText,         // was entered
      kInterrupted,  // Ctrl-C
      kEnd,          // Ctrl-D in an empty line, or the terminal is gone
      kTerminated,   // SIGTERM
    };
    Kind kind;
    std::string text = {};  // without the newline at its end
  };
  Line Read(const char* prompt);

  // The prompt of the Read under way; for libedit.
  const char* prompt() const { return prompt_; }
  // The next character for libedit: 1, or 0 at the end.
  int ReadCharacter(wchar_t* character);
  // Puts pasted text into the line; libedit's return codes.
  unsigned char Paste();

 private:
  explicit LineEditor(const Options& options);
  absl::Status Init();
  // Waits for a byte of the terminal; false: the line ends without one.
  bool ReadByte(char* byte);
  // What the signals that came mean; false: the line ends.
  bool TakeSignals();
  // Turns bracketed paste on ("h") or off ("l").
  void SwitchPaste(char onoff);

  struct End {
    void operator()(struct editline* editor) const;
  };
  const Options options_;
  const bool may_paste_;  // the terminal understands escape sequences
  std::unique_ptr<struct editline, End> editor_;
  const char* prompt_ = "";
  std::string unread_;  // bytes that were read after what was no character
  Line::Kind ended_by_ = Line::Kind::kEnd;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_LINE_EDITOR_H_
