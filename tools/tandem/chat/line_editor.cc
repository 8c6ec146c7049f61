#include "tools/tandem/chat/line_editor.h"

#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cwchar>
#include <string>

#include "absl/strings/match.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"
#include "tools/tandem/base/terminal.h"

namespace tandem::cli {
namespace {

constexpr wchar_t kPasteEnd[] = L"\x1b[201~";
constexpr size_t kPasteEndLength = 6;

LineEditor* Self(EditLine* editor) {
  void* self = nullptr;
  el_get(editor, EL_CLIENTDATA, &self);
  return static_cast<LineEditor*>(self);
}

char* Prompt(EditLine* editor) {
  // libedit takes char*, and does not write.
  return const_cast<char*>(Self(editor)->prompt());
}

int GetCharacter(EditLine* editor, wchar_t* character) {
  return Self(editor)->ReadCharacter(character);
}

unsigned char PasteKey(EditLine* editor, wint_t /*key*/) {
  return Self(editor)->Paste();
}

// The character that `text`, one of UTF-8, is; U+FFFD for what is none.
wchar_t CharacterOf(const std::string& text) {
  wchar_t character = 0;
  mbstate_t state = {};
  const size_t bytes =
      std::mbrtowc(&character, text.data(), text.size(), &state);
  return bytes == text.size() ? character : L'\uFFFD';
}

}  // namespace

void LineEditor::End::operator()(struct editline* editor) const {
  el_end(editor);
}

LineEditor::LineEditor(const Options& options)
    : options_(options), may_paste_(MovesCursor()) {}

LineEditor::~LineEditor() = default;

absl::StatusOr<std::unique_ptr<LineEditor>> LineEditor::Make(
    const Options& options) {
  // libedit asks the locale for widths and bytes of characters; models write
  // UTF-8, whatever the environment says. C.UTF-8 is part of the C library.
  setlocale(LC_CTYPE, "C.UTF-8");
  std::unique_ptr<LineEditor> editor(new LineEditor(options));
  TANDEM_RETURN_IF_ERROR(editor->Init());
  return editor;
}

absl::Status LineEditor::Init() {
  editor_.reset(el_init("tandem", options_.in, options_.out, options_.err));
  if (editor_ == nullptr) {
    return absl::UnavailableError("the terminal can not be used: no memory");
  }
  EditLine* const editor = editor_.get();
  el_set(editor, EL_CLIENTDATA, this);
  el_set(editor, EL_PROMPT, Prompt);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_SIGNAL, 0);  // TerminalSignals has them
  el_set(editor, EL_HIST, history, options_.history->entries());
  el_set(editor, EL_GETCFN, GetCharacter);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(editor, nullptr);
  // By el_wset the names are kept as they are; el_set would leak copies.
  el_wset(editor, EL_ADDFN, L"tandem-paste", L"Insert pasted text", PasteKey);
  el_set(editor, EL_BIND, "\\e[200~", "tandem-paste", nullptr);
  return absl::OkStatus();
}

void LineEditor::SwitchPaste(char onoff) {
  if (!may_paste_) return;
  std::fprintf(options_.out, "\x1b[?2004%c", onoff);
  std::fflush(options_.out);
}

LineEditor::Line LineEditor::Read(const char* prompt) {
  prompt_ = prompt;
  ended_by_ = Line::Kind::kEnd;
  SwitchPaste('h');
  int count = 0;
  const char* const text = el_gets(editor_.get(), &count);
  SwitchPaste('l');
  if (text == nullptr || count <= 0) return {.kind = ended_by_};
  Line line = {.kind = Line::Kind::kText,
               .text = std::string(text, static_cast<size_t>(count))};
  if (absl::EndsWith(line.text, "\n")) line.text.pop_back();
  return line;
}

bool LineEditor::TakeSignals() {
  bool goes_on = true;
  for (const int signal : options_.signals->Take()) {
    if (signal == SIGINT || signal == SIGTERM) {
      ended_by_ =
          signal == SIGINT ? Line::Kind::kInterrupted : Line::Kind::kTerminated;
      goes_on = false;
    } else {
      if (signal == SIGCONT) {
        // A shell has set its own mode meanwhile.
        el_set(editor_.get(), EL_PREP_TERM, 0);
        el_set(editor_.get(), EL_PREP_TERM, 1);
      }
      el_resize(editor_.get());
      el_set(editor_.get(), EL_REFRESH);
    }
  }
  return goes_on;
}

bool LineEditor::ReadByte(char* byte) {
  if (!unread_.empty()) {
    *byte = unread_.front();
    unread_.erase(0, 1);
    return true;
  }
  const int in = fileno(options_.in);
  while (true) {
    pollfd fds[2] = {
        {.fd = in, .events = POLLIN, .revents = 0},
        {.fd = options_.signals->descriptor(), .events = POLLIN, .revents = 0}};
    if (poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (fds[1].revents != 0 && !TakeSignals()) return false;
    if (fds[0].revents == 0) continue;
    const ssize_t count = read(in, byte, 1);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    return count == 1;
  }
}

int LineEditor::ReadCharacter(wchar_t* character) {
  std::string bytes;
  char byte = 0;
  while (ReadByte(&byte)) {
    bytes.push_back(byte);
    const Utf8Prefix next = FirstUtf8(bytes);
    if (next.kind == Utf8Prefix::Kind::kUnfinished) continue;
    unread_ = bytes.substr(next.bytes);  // where the first ones are none
    bytes.resize(next.bytes);
    *character = CharacterOf(bytes);
    return 1;
  }
  *character = L'\0';
  return 0;
}

unsigned char LineEditor::Paste() {
  std::wstring text;
  wchar_t character = 0;
  // Beyond the limit the end is looked for, and the rest is dropped.
  std::wstring last;
  while (el_wgetc(editor_.get(), &character) == 1) {
    last.push_back(character);
    if (last.size() > kPasteEndLength) last.erase(0, 1);
    if (text.size() < kPastedCharactersMax + kPasteEndLength) {
      text.push_back(character == L'\r' ? L'\n' : character);
    }
    if (last != kPasteEnd) continue;
    const size_t end = text.rfind(kPasteEnd);
    if (end != std::wstring::npos) text.erase(end);
    text.resize(std::min(text.size(), kPastedCharactersMax));
    // A control character in the line would be a key of its own when the line
    // comes from the history, and means nothing to a model.
    std::erase_if(text, [](wchar_t c) {
      return (c < 0x20 && c != L'\n' && c != L'\t') || c == 0x7f;
    });
    if (!text.empty() && el_winsertstr(editor_.get(), text.c_str()) != 0) {
      return CC_ERROR;
    }
    return CC_REFRESH;
  }
  return CC_EOF;
}

}  // namespace tandem::cli
