#include "engine/grammar/automaton/work_budget.h"

#include "absl/strings/str_cat.h"

namespace tandem {

absl::Status WorkBudget::Spend(size_t steps) {
  if (steps > left_) {
    left_ = 0;
    return InvalidArgument(
        kReasonInvalidOptions,
        absl::StrCat("the grammar takes more than ", kCompileStepsMax,
                     " steps to compile; simplify it"));
  }
  left_ -= steps;
  return absl::OkStatus();
}

}  // namespace tandem
