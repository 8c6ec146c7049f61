#include "tools/tandem/base/reply_printer.h"

#include <unistd.h>

#include <sstream>
#include <utility>

#include "tools/tandem/base/terminal.h"
#include "tools/tandem/base/terminal_text.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

ReplyPrinter::Colour ReplyPrinter::ColourFor(const Io& io) {
  return io.out_is_terminal && MayColour(STDOUT_FILENO) ? Colour::kYes
                                                        : Colour::kNo;
}

void ReplyPrinter::Print(const v1::ReplyDelta& parts) {
  const std::string& reasoning = parts.reasoning();
  if (io_.out_is_terminal && !reasoning.empty()) {
    if (colour_ == Colour::kYes) {
      PrintStyled(reasoning, kDim, io_);
    } else {
      PrintText(reasoning, io_);
    }
    is_thinking_ = true;
    is_line_open_ = reasoning.back() != '\n';
  }
  if (parts.content().empty()) return;
  if (std::exchange(is_thinking_, false)) {
    *io_.out << (is_line_open_ ? "\n\n" : "\n");
  }
  PrintText(parts.content(), io_);
}

std::string EndOfReply(const v1::ReplyDelta& reply, const Io& io) {
  const bool ends_with_reasoning =
      io.out_is_terminal && reply.content().empty();
  const std::string& last =
      ends_with_reasoning ? reply.reasoning() : reply.content();
  // Calls alone begin a line of their own already.
  const bool is_open =
      last.empty() ? reply.tool_calls().empty() : last.back() != '\n';
  std::ostringstream lines;
  if (is_open) lines << "\n";
  for (const v1::ToolCallDelta& call : reply.tool_calls()) {
    PrintJson(CallJson(call), &lines);
  }
  return lines.str();
}

}  // namespace tandem::cli
