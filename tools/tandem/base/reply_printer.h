// Prints a turn's reply to standard output as it comes: the answer; on a
// terminal before it what the model thought, dim, with an empty line between
// them. A script gets the answer alone. Owned by a command; one thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_REPLY_PRINTER_H_
#define TANDEM_TOOLS_TANDEM_BASE_REPLY_PRINTER_H_

#include <string>

#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

class ReplyPrinter {
 public:
  enum class Colour { kNo, kYes };
  // What the process's standard output may have.
  static Colour ColourFor(const Io& io);

  ReplyPrinter(const Io& io, Colour colour) : io_(io), colour_(colour) {}

  // What comes next, or the whole reply. Calls are for EndOfReply.
  void Print(const v1::ReplyDelta& parts);

 private:
  const Io io_;
  const Colour colour_;
  bool is_thinking_ = false;   // reasoning was printed last
  bool is_line_open_ = false;  // by it
};

// What is printed after a whole reply: the end of the line that the reply
// leaves open, because a shell's prompt belongs on a line of its own, and a
// line of JSON for each call (CallJson).
std::string EndOfReply(const v1::ReplyDelta& reply, const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_REPLY_PRINTER_H_
