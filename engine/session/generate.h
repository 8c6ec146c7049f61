// The one call for an embedding program.

#ifndef TANDEM_ENGINE_SESSION_GENERATE_H_
#define TANDEM_ENGINE_SESSION_GENERATE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/engine.h"
#include "engine/model/model_store.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/turn.h"

namespace tandem {

struct GenerateResult {
  std::vector<TokenId> token_ids = {};
  std::string text = {};
  FinishReason finish_reason = FinishReason::kLength;
  uint64_t seed = 0;
  TurnUsage usage = {};
  SpeculationCounts speculation = {};
};

struct GenerateOptions {
  GenOptions generation = {};
  // A model of `store` that drafts; empty: no speculation.
  std::string draft_model_id = {};
  EngineOptions engine = {};
};

// Generates from `prompt` with the model `model_id` of `store`. Errors:
// NOT_FOUND with UNKNOWN_MODEL, and as InferenceSession.
absl::StatusOr<GenerateResult> Generate(ModelStore& store,
                                        absl::string_view model_id,
                                        absl::string_view prompt,
                                        const GenerateOptions& options = {});

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_GENERATE_H_
