#include "tests/engine/grammar/oracle/grammar_oracle.h"

#include <utility>

namespace tandem {

GrammarOracle::GrammarOracle(const Grammar* grammar)
    : grammar_(grammar),
      stacks_(Closed({{{.state = grammar->rules[grammar->root].start}}})) {}

void GrammarOracle::AddWithoutByte(const Stack& stack,
                                   std::vector<Stack>* out) const {
  if (stack.empty()) return;
  const Level top = stack.back();
  const GrammarState& state = grammar_->states[top.state];
  const auto add = [&](Level level) {
    Stack next = stack;
    next.back() = level;
    out->push_back(std::move(next));
  };
  for (const StateId target : grammar_->JumpsOf(state)) {
    add({.state = target, .rounds = top.rounds, .bounds = top.bounds});
  }
  if (state.iterate != kNoState &&
      (top.bounds.most == kUnbounded || top.rounds < top.bounds.most)) {
    add({.state = state.iterate,
         .rounds = top.rounds + 1,
         .bounds = top.bounds});
  }
  for (const CallEdge& call : grammar_->CallsOf(state)) {
    Stack next = stack;
    next.back().state = call.next;
    next.push_back(
        {.state = grammar_->rules[call.rule].start, .bounds = call.bounds});
    out->push_back(std::move(next));
  }
  const bool is_counted = grammar_->rules[state.rule].is_counted;
  if (state.accepts && (!is_counted || top.rounds >= top.bounds.least)) {
    out->emplace_back(stack.begin(), stack.end() - 1);
  }
}

GrammarOracle::Stacks GrammarOracle::Closed(Stacks stacks) const {
  std::vector<Stack> pending(stacks.begin(), stacks.end());
  while (!pending.empty()) {
    const Stack stack = std::move(pending.back());
    pending.pop_back();
    std::vector<Stack> next;
    AddWithoutByte(stack, &next);
    for (Stack& other : next) {
      if (stacks.insert(other).second) pending.push_back(std::move(other));
    }
  }
  return stacks;
}

GrammarOracle::Stacks GrammarOracle::After(const Stacks& stacks,
                                           uint8_t byte) const {
  Stacks after;
  for (const Stack& stack : stacks) {
    if (stack.empty()) continue;
    for (const ByteEdge& edge :
         grammar_->BytesOf(grammar_->states[stack.back().state])) {
      if (byte < edge.first || byte > edge.last) continue;
      Stack next = stack;
      next.back().state = edge.target;
      after.insert(std::move(next));
    }
  }
  return Closed(std::move(after));
}

bool GrammarOracle::CanRead(absl::string_view bytes) const {
  GrammarOracle copy = *this;
  return copy.Read(bytes);
}

bool GrammarOracle::Read(absl::string_view bytes) {
  Stacks stacks = stacks_;
  for (const char byte : bytes) {
    stacks = After(stacks, static_cast<uint8_t>(byte));
    if (stacks.empty()) return false;
  }
  stacks_ = std::move(stacks);
  return true;
}

bool GrammarOracle::may_end() const { return stacks_.contains({}); }

}  // namespace tandem
