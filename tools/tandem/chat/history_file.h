// The lines that were typed into chats before, in memory and in a file that
// several chats may share: `$XDG_STATE_HOME/tandem/history`, or
// ~/.local/state/tandem/history, in libedit's format, for its owner alone (mode
// 0600). One thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_HISTORY_FILE_H_
#define TANDEM_TOOLS_TANDEM_CHAT_HISTORY_FILE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"

struct history;  // libedit's

namespace tandem::cli {

// Entries that are kept; the oldest go first.
inline constexpr int kHistoryEntriesMax = 1000;
// A longer entry is not kept: a pasted text.
inline constexpr size_t kHistoryEntryBytesMax = 4096;

// Where the history stands; "" where the environment names no home.
std::string DefaultHistoryPath();

class HistoryFile {
 public:
  // Reads what is there. "" for `path`: in memory alone.
  explicit HistoryFile(std::string path);
  ~HistoryFile();

  HistoryFile(const HistoryFile&) = delete;
  HistoryFile& operator=(const HistoryFile&) = delete;

  // Adds a line, also to the file: to what other chats have written there
  // since. The same as the last one is not kept twice. An error where the file
  // can not be written; the line is then in memory.
  absl::Status Add(const std::string& line);

  // For an EditLine, which lives no longer.
  struct history* entries() const {
    return entries_.get();
  }

 private:
  struct End {
    void operator()(struct history* entries) const;
  };
  using Entries = std::unique_ptr<struct history, End>;

  static Entries NewEntries();
  // What the file holds, as far as it can be read.
  void ReadInto(struct history* entries) const;
  absl::Status Write(const std::string& line) const;

  const std::string path_;
  const Entries entries_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_HISTORY_FILE_H_
