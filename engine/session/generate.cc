#include "engine/session/generate.h"

#include <memory>
#include <optional>

#include "engine/base/error_reason.h"
#include "engine/sampling/gen_options.h"

namespace tandem {
namespace {

absl::StatusOr<std::vector<TokenId>> Encode(ModelStore& store,
                                            absl::string_view model_id,
                                            absl::string_view prompt) {
  if (!IsUtf8(prompt)) {
    return InvalidArgument(kReasonInvalidText, "the prompt is not UTF-8");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                          store.Get(model_id));
  const Tokenizer& tokenizer = model->tokenizer();
  return tokenizer.Encode(prompt, tokenizer.adds_bos());
}

}  // namespace

absl::StatusOr<GenerateResult> Generate(ModelStore& store,
                                        absl::string_view model_id,
                                        absl::string_view prompt,
                                        const GenerateOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TokenId> tokens,
                          Encode(store, model_id, prompt));
  TANDEM_ASSIGN_OR_RETURN(
      const std::unique_ptr<InferenceSession> session,
      InferenceSession::Create(store, model_id, tokens, options));
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
