// Replies with marks around reasoning and calls of tools, all but those in
// channels. One per reply; one thread.
//
// At most the longest beginning of a mark is held back, with the white space
// before it. README.md says what is dropped and what becomes of broken calls.

#ifndef TANDEM_ENGINE_REPLY_MARK_PARSER_H_
#define TANDEM_ENGINE_REPLY_MARK_PARSER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/reply/json_scanner.h"
#include "engine/reply/mark_pattern.h"
#include "engine/reply/reply_format.h"
#include "engine/reply/reply_parser.h"
#include "engine/reply/reply_parts.h"

namespace tandem {

class MarkParser : public ReplyParser {
 public:
  struct Options {
    bool has_tools = false;
    bool starts_in_reasoning = false;
    std::string call_id_seed = {};
  };
  MarkParser(const ReplyFormat& format, Options options);

  void Read(absl::Span<const ReplySymbol> symbols, ReplyParts* parts) override;
  void Finish(ReplyParts* parts) override;

 private:
  enum class State {
    kStart,        // before the first character: reasoning may begin
    kReasoning,    //
    kAnswerStart,  // behind the reasoning: line feeds are dropped
    kAnswer,       // a call may begin
    kArguments,    //
    kCallEnd,      // behind the arguments
    kAfterCall,    // between the calls of a section
  };
  // What a step did: it goes on, or needs symbols that have not come.
  enum class Step { kDone, kWait };

  // Reads on by one symbol or mark, of which there is one at least.
  Step ReadStart();
  Step ReadReasoning(ReplyParts* parts);
  Step ReadAnswer(ReplyParts* parts);
  Step ReadArguments(ReplyParts* parts);
  Step ReadCallEnd();
  Step ReadAfterCall(ReplyParts* parts);
  Step ReadOne(ReplyParts* parts);
  void ReadAll(ReplyParts* parts);

  // Whether a call may begin here.
  bool MayCall() const;
  // What begins a call and where its arguments begin; the name goes to `name`.
  MarkMatch MatchHead(const MarkMatch& begin, std::string* name) const;
  // What ends a call after an id.
  MarkMatch MatchIdAndEnd() const;
  // Takes a call's head.
  void BeginCall(const MarkMatch& head, const std::string& name,
                 ReplyParts* parts);
  // Takes one symbol as the answer's.
  void TakeAnswer(ReplyParts* parts);

  const bool has_tools_;
  const bool is_at_start_;  // of CallMarks
  const MarkPattern reasoning_begin_;
  const MarkPattern reasoning_end_;
  const MarkPattern first_head_;  // section_begin and name_begin
  const MarkPattern next_head_;   // separator and name_begin
  const MarkPattern arguments_begin_;
  const MarkPattern id_begin_;
  const MarkPattern call_end_;
  const MarkPattern section_end_;

  CallWriter calls_;
  State state_ = State::kStart;
  JsonScanner arguments_;
  std::vector<ReplySymbol> pending_;    // may be the beginning of a mark
  absl::Span<const ReplySymbol> rest_;  // what is left of it in Read
  std::string held_;          // white space that may stand before a mark
  bool at_end_ = false;       // Finish was called
  bool has_said_ = false;     // an answer, or a call
  bool after_call_ = false;   // nothing but white space since a call
  bool after_begin_ = false;  // no reasoning yet
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_MARK_PARSER_H_
