// A finite automaton over characters, for the keywords of strings that must
// hold at once: several patterns, formats and lengths. A plain value.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_CHAR_AUTOMATON_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_CHAR_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/char_set.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

// A pattern with a length of at most 255 characters takes some hundreds.
inline constexpr size_t kCharStatesMax = 4096;

class CharAutomaton {
 public:
  // What `expr`, of the kinds that ParseRegex makes, matches. Error:
  // INVALID_ARGUMENT where it takes more than kCharStatesMax states, or
  // the budget.
  static absl::StatusOr<CharAutomaton> Of(const GrammarBuilder& builder,
                                          ExprId expr, WorkBudget* budget);
  // All texts of so many characters; `least` and `most`, unless kUnbounded,
  // are below kCharStatesMax.
  static CharAutomaton OfLength(Bounds bounds);

  // What both match. Error: as Of.
  static absl::StatusOr<CharAutomaton> Intersection(const CharAutomaton& a,
                                                    const CharAutomaton& b,
                                                    WorkBudget* budget);

  bool Matches(absl::Span<const uint32_t> text) const;
  size_t states() const { return states_.size(); }
  // Nothing matches.
  bool IsEmpty() const;

  // The same as an expression; `encode` makes one of a set of characters.
  ExprId ToExpr(absl::FunctionRef<ExprId(const CharSet&)> encode,
                GrammarBuilder* builder) const;

 private:
  struct Edge {
    CharSet set;
    uint32_t to = 0;
  };
  struct State {
    std::vector<Edge> edges = {};
    bool accepts = false;
  };

  friend class CharAutomatonBuilder;

  std::vector<State> states_;  // the first is where it begins
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_CHAR_AUTOMATON_H_
