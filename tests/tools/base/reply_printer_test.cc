#include "tools/tandem/base/reply_printer.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace tandem::cli {
namespace {

v1::ReplyDelta Reasoning(const std::string& text) {
  v1::ReplyDelta parts;
  parts.set_reasoning(text);
  return parts;
}

v1::ReplyDelta Content(const std::string& text) {
  v1::ReplyDelta parts;
  parts.set_content(text);
  return parts;
}

v1::ReplyDelta Call(const std::string& arguments) {
  v1::ReplyDelta parts;
  v1::ToolCallDelta* call = parts.add_tool_calls();
  call->set_name("f");
  call->set_arguments(arguments);
  return parts;
}

struct Output {
  bool is_terminal = false;
  ReplyPrinter::Colour colour = ReplyPrinter::Colour::kNo;
};

std::string Printed(const std::vector<v1::ReplyDelta>& parts, Output output) {
  std::ostringstream out;
  ReplyPrinter printer({.out = &out, .out_is_terminal = output.is_terminal},
                       output.colour);
  for (const v1::ReplyDelta& part : parts) printer.Print(part);
  return out.str();
}

TEST(ReplyPrinterTest, AScriptGetsTheAnswerAlone) {
  EXPECT_EQ(Printed({Reasoning("so"), Content("Y"), Content("es\x1b")}, {}),
            "Yes\x1b");
}

TEST(ReplyPrinterTest, ATerminalShowsReasoningApart) {
  const Output plain = {.is_terminal = true};
  EXPECT_EQ(
      Printed({Reasoning("s"), Reasoning("o"), Content("Y"), Content("es\x1b")},
              plain),
      "so\n\nYes\xef\xbf\xbd");
  EXPECT_EQ(Printed({Reasoning("so\n"), Call("{}"), Content("Yes")}, plain),
            "so\n\nYes");
  EXPECT_EQ(Printed({Content("Yes")}, plain), "Yes");
  v1::ReplyDelta both = Reasoning("so");
  both.set_content("Yes");
  EXPECT_EQ(Printed({both}, {.is_terminal = true,
                             .colour = ReplyPrinter::Colour::kYes}),
            "\x1b[2mso\x1b[0m\n\nYes");
}

TEST(ReplyPrinterTest, AFileHasNoColour) {
  EXPECT_EQ(ReplyPrinter::ColourFor({}), ReplyPrinter::Colour::kNo);
}

TEST(EndOfReplyTest, EndsTheLineThatIsOpen) {
  EXPECT_EQ(EndOfReply(Content("Yes"), {}), "\n");
  EXPECT_EQ(EndOfReply(Content("Yes\n"), {}), "");
  EXPECT_EQ(EndOfReply({}, {}), "\n");
}

TEST(EndOfReplyTest, CallsAreLinesOfJson) {
  const std::string call = "{\"id\":\"\",\"name\":\"f\",\"arguments\":{}}\n";
  v1::ReplyDelta reply = Call(" {\n} ");
  EXPECT_EQ(EndOfReply(reply, {}), call);
  *reply.add_tool_calls() = reply.tool_calls(0);
  EXPECT_EQ(EndOfReply(reply, {}), call + call);
  reply = Call("{}");
  reply.set_content("Yes");
  EXPECT_EQ(EndOfReply(reply, {}), "\n" + call);
  // What the model thought stands before it on a terminal alone.
  reply = Call("{}");
  reply.set_reasoning("so");
  EXPECT_EQ(EndOfReply(reply, {}), call);
  EXPECT_EQ(EndOfReply(reply, {.out_is_terminal = true}), "\n" + call);
}

}  // namespace
}  // namespace tandem::cli
