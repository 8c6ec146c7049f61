#include "engine/reply/mark_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using Kind = MarkMatch::Kind;

// Letters of names that may be called, and of ids.
constexpr size_t kNameBytesMax = 64;

bool IsNameSymbol(ReplySymbol symbol) {
  return symbol < 0x80 &&
         (absl::ascii_isalnum(static_cast<unsigned char>(symbol)) ||
          symbol == '_' || symbol == '-' || symbol == '.');
}

// Where a name ends that begins at `at`; one byte more than it may have is
// enough to see.
size_t NameEnd(absl::Span<const ReplySymbol> text, size_t at) {
  const size_t end = std::min(text.size(), at + kNameBytesMax + 1);
  while (at < end && IsNameSymbol(text[at])) ++at;
  return at;
}

bool IsText(ReplySymbol symbol) { return symbol < kFirstControlSymbol; }

}  // namespace

MarkParser::MarkParser(const ReplyFormat& format, Options options)
    : has_tools_(options.has_tools && !format.calls.name_begin.empty()),
      is_at_start_(format.calls.is_at_start),
      reasoning_begin_(format.reasoning_begin, format.controls),
      reasoning_end_(format.reasoning_end, format.controls),
      first_head_(
          absl::StrCat(format.calls.section_begin, format.calls.name_begin),
          format.controls),
      next_head_(absl::StrCat(format.calls.separator, format.calls.name_begin),
                 format.controls),
      arguments_begin_(format.calls.arguments_begin, format.controls),
      id_begin_(format.calls.id_begin, format.controls),
      call_end_(format.calls.call_end, format.controls),
      section_end_(format.calls.section_end, format.controls),
      calls_(std::move(options.call_id_seed)) {
  if (reasoning_end_.empty()) {
    state_ = State::kAnswer;
  } else if (options.starts_in_reasoning) {
    state_ = State::kReasoning;
    after_begin_ = true;
  }
}

void MarkParser::Read(absl::Span<const ReplySymbol> symbols,
                      ReplyParts* parts) {
  pending_.insert(pending_.end(), symbols.begin(), symbols.end());
  ReadAll(parts);
}

void MarkParser::Finish(ReplyParts* parts) {
  at_end_ = true;
  ReadAll(parts);
  // White space behind calls is theirs.
  if (!after_call_) {
    (state_ == State::kReasoning ? parts->reasoning : parts->content) += held_;
  }
  held_.clear();
}

void MarkParser::ReadAll(ReplyParts* parts) {
  rest_ = pending_;
  while (!rest_.empty() && ReadOne(parts) == Step::kDone) {
  }
  pending_.erase(pending_.begin(), pending_.end() - rest_.size());
  rest_ = {};
}

MarkParser::Step MarkParser::ReadOne(ReplyParts* parts) {
  switch (state_) {
    case State::kStart:
      return ReadStart();
    case State::kReasoning:
      return ReadReasoning(parts);
    case State::kAnswerStart:
      if (rest_[0] == '\n') {
        rest_.remove_prefix(1);
      } else {
        state_ = State::kAnswer;
      }
      return Step::kDone;
    case State::kAnswer:
      return ReadAnswer(parts);
    case State::kArguments:
      return ReadArguments(parts);
    case State::kCallEnd:
      return ReadCallEnd();
    case State::kAfterCall:
      return ReadAfterCall(parts);
  }
  return Step::kWait;
}

MarkParser::Step MarkParser::ReadStart() {
  if (IsSpaceSymbol(rest_[0])) {
    held_.push_back(static_cast<char>(rest_[0]));
    rest_.remove_prefix(1);
    return Step::kDone;
  }
  const MarkMatch begin = reasoning_begin_.Match(rest_);
  if (begin.kind == Kind::kPrefix && !at_end_) return Step::kWait;
  if (begin.kind != Kind::kWhole) {
    state_ = State::kAnswer;
    return Step::kDone;
  }
  rest_.remove_prefix(begin.length);
  held_.clear();
  state_ = State::kReasoning;
  after_begin_ = true;
  return Step::kDone;
}

// Line feeds next to the marks are dropped.
MarkParser::Step MarkParser::ReadReasoning(ReplyParts* parts) {
  const ReplySymbol symbol = rest_[0];
  if (symbol == '\n') {
    if (!after_begin_) held_.push_back('\n');
    rest_.remove_prefix(1);
    return Step::kDone;
  }
  const MarkMatch end = reasoning_end_.Match(rest_);
  if (end.kind == Kind::kPrefix && !at_end_) return Step::kWait;
  if (end.kind == Kind::kWhole) {
    rest_.remove_prefix(end.length);
    held_.clear();
    state_ = State::kAnswerStart;
    return Step::kDone;
  }
  if (IsText(symbol)) {
    parts->reasoning += std::exchange(held_, "");
    parts->reasoning.push_back(static_cast<char>(symbol));
    after_begin_ = false;
  }
  rest_.remove_prefix(1);
  return Step::kDone;
}

bool MarkParser::MayCall() const {
  return has_tools_ && !(is_at_start_ && has_said_);
}

void MarkParser::TakeAnswer(ReplyParts* parts) {
  const ReplySymbol symbol = rest_[0];
  rest_.remove_prefix(1);
  if (!IsText(symbol)) return;
  parts->content += std::exchange(held_, "");
  parts->content.push_back(static_cast<char>(symbol));
  has_said_ = true;
  after_call_ = false;
}

MarkParser::Step MarkParser::ReadAnswer(ReplyParts* parts) {
  if (!MayCall() && !after_call_) {
    TakeAnswer(parts);
    return Step::kDone;
  }
  if (IsSpaceSymbol(rest_[0])) {
    held_.push_back(static_cast<char>(rest_[0]));
    rest_.remove_prefix(1);
    return Step::kDone;
  }
  if (!MayCall()) {
    TakeAnswer(parts);
    return Step::kDone;
  }
  std::string name;
  const MarkMatch head = MatchHead(first_head_.Match(rest_), &name);
  if (head.kind == Kind::kPrefix && !at_end_) return Step::kWait;
  if (head.kind == Kind::kWhole) {
    BeginCall(head, name, parts);
  } else {
    TakeAnswer(parts);
  }
  return Step::kDone;
}

MarkMatch MarkParser::MatchHead(const MarkMatch& begin,
                                std::string* name) const {
  if (begin.kind != Kind::kWhole) return begin;
  size_t at = NameEnd(rest_, begin.length);
  const size_t name_bytes = at - begin.length;
  if (name_bytes > kNameBytesMax) return {};
  if (at == rest_.size()) return {.kind = Kind::kPrefix};
  if (name_bytes == 0) return {};
  name->assign(rest_.begin() + begin.length, rest_.begin() + at);
  const MarkMatch middle = arguments_begin_.MatchAfterSpace(rest_.subspan(at));
  if (middle.kind != Kind::kWhole) return middle;
  at = SkipSpace(rest_, at + middle.length);
  if (at == rest_.size()) return {.kind = Kind::kPrefix};
  if (rest_[at] != '{') return {};
  return {.kind = Kind::kWhole, .length = at};
}

void MarkParser::BeginCall(const MarkMatch& head, const std::string& name,
                           ReplyParts* parts) {
  rest_.remove_prefix(head.length);
  held_.clear();
  has_said_ = true;
  after_call_ = false;
  calls_.Begin(name, parts);
  arguments_ = JsonScanner();
  state_ = State::kArguments;
}

MarkParser::Step MarkParser::ReadArguments(ReplyParts* parts) {
  const JsonScanner::State scanned =
      IsText(rest_[0]) ? arguments_.Next(static_cast<char>(rest_[0]))
                       : JsonScanner::State::kBroken;
  if (scanned == JsonScanner::State::kBroken) {
    state_ = State::kAnswer;
    return Step::kDone;
  }
  calls_.AddArguments(static_cast<char>(rest_[0]), parts);
  rest_.remove_prefix(1);
  if (scanned == JsonScanner::State::kClosed) state_ = State::kCallEnd;
  return Step::kDone;
}

MarkMatch MarkParser::MatchIdAndEnd() const {
  if (id_begin_.empty()) return {};
  const MarkMatch begin = id_begin_.MatchAfterSpace(rest_);
  if (begin.kind != Kind::kWhole) return begin;
  const size_t id_end = NameEnd(rest_, begin.length);
  if (id_end - begin.length > kNameBytesMax) return {};
  if (id_end == rest_.size()) return {.kind = Kind::kPrefix};
  if (rest_[id_end] != '"') return {};
  MarkMatch end = call_end_.MatchAfterSpace(rest_.subspan(id_end + 1));
  end.length += id_end + 1;
  return end;
}

MarkParser::Step MarkParser::ReadCallEnd() {
  MarkMatch end = call_end_.MatchAfterSpace(rest_);
  if (end.kind != Kind::kWhole) {
    const MarkMatch with_id = MatchIdAndEnd();
    if (with_id.kind != Kind::kNone) end = with_id;
  }
  if (end.kind == Kind::kPrefix) {
    if (!at_end_) return Step::kWait;
    // A mark that the reply's end cut.
    end.length = rest_.size();
  }
  after_call_ = true;
  rest_.remove_prefix(end.length);
  state_ = end.kind == Kind::kWhole && !section_end_.empty() ? State::kAfterCall
                                                             : State::kAnswer;
  return Step::kDone;
}

MarkParser::Step MarkParser::ReadAfterCall(ReplyParts* parts) {
  std::string name;
  const MarkMatch head = MatchHead(next_head_.MatchAfterSpace(rest_), &name);
  if (head.kind == Kind::kWhole) {
    BeginCall(head, name, parts);
    return Step::kDone;
  }
  MarkMatch end = section_end_.MatchAfterSpace(rest_);
  if (!at_end_ && (head.kind == Kind::kPrefix || end.kind == Kind::kPrefix)) {
    return Step::kWait;
  }
  if (end.kind == Kind::kPrefix) end.length = rest_.size();
  rest_.remove_prefix(end.length);
  state_ = State::kAnswer;
  return Step::kDone;
}

}  // namespace tandem
