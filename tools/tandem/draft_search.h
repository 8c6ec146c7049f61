// Looks for a draft model beside a model: a file of the same folder that has
// the same vocabulary and is much smaller. Reads heads of files only; any
// thread.

#ifndef TANDEM_TOOLS_TANDEM_DRAFT_SEARCH_H_
#define TANDEM_TOOLS_TANDEM_DRAFT_SEARCH_H_

#include <optional>
#include <string>
#include <vector>

#include "tools/tandem/model_files.h"

namespace tandem::cli {

// A draft reads its weights once for each token that it proposes, and the
// target once a round. With four tokens a round, of which the target takes two
// or three, a draft of a third of the target's bytes loses; a larger one always
// does.
inline constexpr int kDraftShareMax = 3;
// Files whose heads are read: a vocabulary of 150,000 tokens takes 0.3 s.
inline constexpr size_t kDraftFilesMax = 8;

struct DraftSearch {
  // The smallest that fits; none.
  std::optional<std::string> path = {};
  // One sentence for each file that was looked at and does not fit.
  std::vector<std::string> reasons = {};
};

// `target` is the model in the file `target_path`.
DraftSearch FindDraft(const std::string& target_path,
                      const OpenedModel& target);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_DRAFT_SEARCH_H_
