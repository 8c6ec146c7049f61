// Turns the rules of a GrammarBuilder into the automata of a Grammar. Lives
// within GrammarBuilder::Build.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_AUTOMATON_BUILDER_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_AUTOMATON_BUILDER_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

class AutomatonBuilder {
 public:
  // `source` outlives this.
  explicit AutomatonBuilder(const GrammarBuilder* source) : source_(source) {}

  // Called once; see GrammarBuilder::Build.
  absl::StatusOr<Grammar> Build(RuleId root);

 private:
  struct State {
    std::vector<ByteEdge> bytes;
    std::vector<StateId> jumps;
    std::vector<CallEdge> calls;
    StateId iterate = kNoState;
    RuleId rule = 0;
    bool accepts = false;
  };
  struct Rule {
    std::string name;
    ExprId body = 0;
    StateId start = 0;
    StateId end = 0;
    bool is_counted = false;
  };
  // How large an expression is as an automaton, about.
  struct Size {
    uint32_t states = 0;
    bool has_calls = false;  // of rules that are not compiled in place
  };

  void MeasureAll();
  Size Measure(const Expr& expr) const;

  StateId AddState();
  RuleId AddRule(absl::string_view name, ExprId body, bool is_counted);
  // The compiled form of a rule of the source.
  RuleId RuleOf(RuleId source_rule);

  // Adds what spells `expr` between two states. Only `from` gets edges that
  // leave it, only `to` edges that come in.
  void Compile(ExprId expr, StateId from, StateId to);
  void CompileLiterals(const Expr& expr, StateId from, StateId to);
  void CompileChars(absl::Span<const std::vector<ByteRange>> sequences,
                    size_t place, StateId from, StateId to);
  void CompileSequence(const Expr& expr, StateId from, StateId to);
  void CompileRepeat(const Expr& expr, StateId from, StateId to);
  void CompileStar(ExprId part, StateId from, StateId to);
  void CompileGraph(const Expr& expr, StateId from, StateId to);
  void CompileRule(RuleId rule);

  // For each state: a path leads from it to the end of its rule, over bytes
  // only if `over_bytes`.
  std::vector<uint8_t> StatesThatEnd(bool over_bytes) const;
  bool CallEnds(const CallEdge& call, bool over_bytes,
                const std::vector<uint8_t>& ends) const;
  // Why no text of `root` can be complete.
  absl::Status NothingMatches(RuleId root,
                              const std::vector<uint8_t>& ends) const;
  // Takes away all edges to states without an end.
  void Prune(const std::vector<uint8_t>& ends);

  Grammar Flatten(RuleId root, const std::vector<uint8_t>& nullable) const;

  const GrammarBuilder* source_;
  std::vector<Size> sizes_;         // [expressions]
  std::vector<uint8_t> is_inline_;  // [rules of the source]
  std::vector<State> states_;
  std::vector<Rule> rules_;
  std::vector<RuleId> rule_of_source_;  // [rules of the source]
  // Counted rules by their bodies.
  absl::flat_hash_map<ExprId, RuleId> counted_;
  bool too_many_states_ = false;
};

// Gives each rule its rank, after those that it may call before a byte. Errors:
// INVALID_ARGUMENT for left recursion.
absl::Status RankRules(Grammar* grammar);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_AUTOMATON_BUILDER_H_
