// What compiling one grammar may take, counted in steps of work, so that the
// limit falls at the same place on every machine. Owned by a GrammarBuilder;
// one thread.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_WORK_BUDGET_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_WORK_BUDGET_H_

#include <cstddef>

#include "engine/base/status.h"

namespace tandem {

// A step is a comparison or an edge of an automaton, 10 to 50 ns. A schema of
// 50 properties takes 20,000.
inline constexpr size_t kCompileStepsMax = 20'000'000;

class WorkBudget {
 public:
  // INVALID_ARGUMENT with INVALID_OPTIONS once more than kCompileStepsMax steps
  // were spent.
  absl::Status Spend(size_t steps);

 private:
  size_t left_ = kCompileStepsMax;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_WORK_BUDGET_H_
