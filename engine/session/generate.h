// The one call for an embedding program.

#ifndef TANDEM_ENGINE_SESSION_GENERATE_H_
#define TANDEM_ENGINE_SESSION_GENERATE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/model/model_store.h"
#include "engine/session/inference_session.h"
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

// Generates from `prompt` with the model `model_id` of `store`, where a model
// stands by a file or by bytes. Any thread; calls at the same time have engines
// of their own (EngineCache), which later calls find again. Errors: as
// InferenceSession::Create and StartTurn.
absl::StatusOr<GenerateResult> Generate(ModelStore& store,
                                        absl::string_view model_id,
                                        absl::string_view prompt,
                                        const GenerateOptions& options = {});

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_GENERATE_H_
