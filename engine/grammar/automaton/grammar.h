// A compiled grammar: rules that call each other, each an automaton over bytes.
// Made by GrammarBuilder::Build. Immutable; any thread may read it.
//
// A rule has a start state; a text matches the rule if a path from there to an
// accepting state spells it. A path goes over bytes, over jumps, which spell
// nothing, and over calls, which spell what the called rule matches. A counted
// rule is the body of a repetition: it begins in its start state, comes back
// there after each time, and may go on as long as the bounds of the call let
// it; it ends there too.
//
// From every state a path leads to the end of its rule: what begins as a text
// of the grammar can always be completed to one. No rule calls itself before a
// byte (left recursion).

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace tandem {

using StateId = uint32_t;
using RuleId = uint32_t;

inline constexpr uint32_t kUnbounded = UINT32_MAX;
inline constexpr uint32_t kNoState = UINT32_MAX;

// How often a counted rule may go through its body; kUnbounded: no most.
struct Bounds {
  uint32_t least = 0;
  uint32_t most = 0;

  friend auto operator<=>(const Bounds&, const Bounds&) = default;
};

// A byte first .. last leads to `target`.
struct ByteEdge {
  uint8_t first = 0;
  uint8_t last = 0;
  StateId target = 0;
};

struct CallEdge {
  RuleId rule = 0;
  StateId next = 0;    // where the caller goes on
  Bounds bounds = {};  // of a counted rule

  friend bool operator==(const CallEdge&, const CallEdge&) = default;
};

struct GrammarState {
  uint32_t bytes_begin = 0, bytes_end = 0;  // in Grammar::byte_edges
  uint32_t jumps_begin = 0, jumps_end = 0;  // in Grammar::jumps
  uint32_t calls_begin = 0, calls_end = 0;  // in Grammar::calls
  StateId iterate = kNoState;  // start of a counted rule: where the body begins
  RuleId rule = 0;             // whose state this is
  bool accepts = false;        // the rule may end here
  bool only_ends = false;      // nothing else is possible here
};

struct GrammarRule {
  std::string name;
  StateId start = 0;
  bool is_counted = false;
  bool is_nullable = false;  // matches the empty text (a counted one: its call)
  // Rules that this one may call before a byte have a greater rank.
  uint32_t rank = 0;
  // States that go on after a call of this rule.
  std::vector<StateId> returns = {};
};

struct Grammar {
  std::vector<GrammarState> states;
  std::vector<ByteEdge> byte_edges;
  std::vector<StateId> jumps;
  std::vector<CallEdge> calls;
  std::vector<GrammarRule> rules;
  RuleId root = 0;
  // Bytes of one class take the same edges everywhere.
  std::array<uint8_t, 256> class_of{};
  int classes = 1;

  absl::Span<const ByteEdge> BytesOf(const GrammarState& state) const {
    return absl::MakeSpan(byte_edges)
        .subspan(state.bytes_begin, state.bytes_end - state.bytes_begin);
  }
  absl::Span<const StateId> JumpsOf(const GrammarState& state) const {
    return absl::MakeSpan(jumps).subspan(state.jumps_begin,
                                         state.jumps_end - state.jumps_begin);
  }
  absl::Span<const CallEdge> CallsOf(const GrammarState& state) const {
    return absl::MakeSpan(calls).subspan(state.calls_begin,
                                         state.calls_end - state.calls_begin);
  }
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_H_
