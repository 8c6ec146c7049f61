#include "engine/session/generate.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/session/inference_session.h"

namespace tandem {
namespace {

// An engine for one sequence, of `context_max` tokens where its model has as
// many.
absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(ModelStore& store,
                                                   absl::string_view model_id,
                                                   EngineOptions options,
                                                   Position context_max) {
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<const Model> model,
                          store.Get(model_id));
  if (context_max > 0) {
    options.context_max =
        std::min<Position>(context_max, model->config().context_length);
  }
  if (options.kv_tokens == 0) {
    options.kv_tokens = options.context_max > 0
                            ? options.context_max
                            : model->config().context_length;
  }
  return Engine::Load(std::move(model), options);
}

}  // namespace

absl::StatusOr<GenerateResult> Generate(ModelStore& store,
                                        absl::string_view model_id,
                                        absl::string_view prompt,
                                        const GenerateOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(
      const std::unique_ptr<Engine> target,
      LoadEngine(store, model_id, options.engine, /*context_max=*/0));
  std::unique_ptr<Engine> draft;
  if (!options.draft_model_id.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        draft, LoadEngine(store, options.draft_model_id, options.engine,
                          target->info().context_max));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<InferenceSession> session,
                          InferenceSession::Create(target.get(), draft.get()));
  TANDEM_RETURN_IF_ERROR(session->StartTurn(prompt, options.generation));
  GenerateResult result;
  while (true) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<SampledToken> token,
                            session->NextToken());
    if (!token.has_value()) break;
    result.token_ids.push_back(token->id);
  }
  result.text = session->text();
  result.finish_reason = *session->finish_reason();
  result.seed = session->seed();
  result.usage = session->usage();
  result.speculation = session->speculation();
  return result;
}

}  // namespace tandem
