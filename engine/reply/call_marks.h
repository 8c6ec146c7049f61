// How models write calls of tools: the ways that are known, and which of them a
// chat template writes. Pure functions; any thread.

#ifndef TANDEM_ENGINE_REPLY_CALL_MARKS_H_
#define TANDEM_ENGINE_REPLY_CALL_MARKS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

// What stands around calls. The names of control tokens are these tokens.
struct CallMarks {
  std::string section_begin = {};    // before the first call
  std::string name_begin = {};       // before a call's name
  std::string arguments_begin = {};  // between its name and its arguments
  // Between the arguments and an id that some models write, which is passed
  // over; '"' ends it.
  std::string id_begin = {};
  std::string call_end = {};     // after a call
  std::string separator = {};    // between two calls
  std::string section_end = {};  // after the last call
  // What calls begin with and no text of an answer does; with
  // is_at_start no text that stands at the beginning of a reply.
  std::string trigger = {};
  // The reply is calls, or it has none.
  bool is_at_start = false;
  // Calls of one reply; 0: any number.
  int calls_max = 0;

  friend bool operator==(const CallMarks&, const CallMarks&) = default;
};

// A way of writing calls that is known, spaced as most templates space it.
struct KnownCalls {
  // "hermes", ...; several ways may have one name.
  std::string name = {};
  // The token that a vocabulary has where its model writes this way; "": any.
  std::string token = {};
  CallMarks marks = {};
};

// All of them, those with the longer marks first.
absl::Span<const KnownCalls> AllKnownCalls();

// The words of the conversations that templates are tried with.
inline constexpr char kProbeQuestion[] = "tandem0question";
inline constexpr char kProbeTool[] = "tandem_tool";
inline constexpr char kProbeCall[] = "tandem_call";
inline constexpr char kProbeNextCall[] = "tandem_next";
// Letters and digits, as Mistral's templates want them.
inline constexpr char kProbeCallId[] = "tandem0id";
inline constexpr char kProbeArguments[] = R"({"tandem_key": "tandem_value"})";

// Conversations with the words above as a template writes them.
struct RenderedCalls {
  // The question, and what begins the reply.
  std::string prompt = {};
  // The question, the call kProbeCall with its arguments, its result.
  std::string one = {};
  // The same with a second call in that reply; "" where the template refuses
  // it.
  std::string two = {};
};

// Which of the known ways `rendered` shows, with the spacing there. Errors:
// FAILED_PRECONDITION with UNSUPPORTED_TOOLS and how the call was written.
absl::StatusOr<KnownCalls> ReadCalls(const RenderedCalls& rendered);

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_CALL_MARKS_H_
