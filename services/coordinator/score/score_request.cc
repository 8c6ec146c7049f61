#include "services/coordinator/score/score_request.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/coordinator/client/request_checks.h"

namespace tandem {
namespace {

std::string PathOf(size_t index, absl::string_view field) {
  return absl::StrCat("continuations[", index, "]", field);
}

absl::Status NoPrompt(absl::string_view description) {
  return InvalidField("prompt", description, kReasonEmptyPrompt);
}

absl::Status TooLong(const std::string& field, int64_t tokens,
                     Position context_max) {
  return InvalidField(
      field,
      absl::StrCat("has at least ", tokens,
                   " tokens with the prompt; the model's context has ",
                   context_max),
      kReasonContextExceeded);
}

absl::Status ParseScorePrompt(v1::ScoreRequest* request,
                              const ScoreModel& model, ScoreInput* input) {
  const bool parse_special = request->parse_special();
  switch (request->prompt_case()) {
    case v1::ScoreRequest::kText:
      input->has_prompt = true;
      input->prompt = PromptText{.text = std::move(*request->mutable_text()),
                                 .parse_special = parse_special};
      break;
    case v1::ScoreRequest::kTokens:
      input->has_prompt = true;
      input->prompt = std::vector<TokenId>(request->tokens().ids().begin(),
                                           request->tokens().ids().end());
      break;
    case v1::ScoreRequest::PROMPT_NOT_SET:
      input->prompt = PromptText{.text = "", .parse_special = parse_special};
      break;
  }
  TANDEM_RETURN_IF_ERROR(CheckPrompt(input->prompt, model.tokenizer));
  return CheckPromptRoom(input->prompt,
                         {.context_max = model.context_max,
                          .token_bytes_max = model.token_bytes_max});
}

absl::Status ParseText(std::string text, size_t index, const ScoreModel& model,
                       ScoreInput* input) {
  if (std::holds_alternative<std::vector<TokenId>>(input->prompt)) {
    return InvalidField(
        PathOf(index, ".text"),
        "goes with a prompt of text, or none; send ids after a prompt of ids");
  }
  if (text.empty()) {
    return InvalidField(PathOf(index, ".text"), "must not be empty");
  }
  const int64_t tokens = TokensAtLeast(text.size(), model.token_bytes_max);
  if (tokens >= model.context_max) {
    return TooLong(PathOf(index, ".text"), tokens, model.context_max);
  }
  input->continuations.emplace_back(std::move(text));
  return absl::OkStatus();
}

absl::Status ParseIds(const v1::TokenIds& tokens, size_t index,
                      const ScoreModel& model, ScoreInput* input) {
  std::vector<TokenId> ids(tokens.ids().begin(), tokens.ids().end());
  const std::string field = PathOf(index, ".tokens.ids");
  if (ids.empty()) return InvalidField(field, "must hold at least one id");
  TANDEM_RETURN_IF_ERROR(
      CheckTokenIds(ids, model.tokenizer.vocab_size(), field));
  input->continuations.emplace_back(std::move(ids));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TokenId>> EncodeAfter(const ScoreInput& input,
                                                 const std::string& text,
                                                 size_t prompt_tokens,
                                                 const Tokenizer& tokenizer) {
  const std::vector<TokenId> whole = tokenizer.Encode(
      absl::StrCat(std::get<PromptText>(input.prompt).text, text),
      {.add_bos = !input.has_prompt || tokenizer.adds_bos(),
       .parse_special = input.parse_special});
  if (whole.size() <= prompt_tokens) {
    return absl::InvalidArgumentError(
        "has no tokens after those of the prompt");
  }
  return std::vector<TokenId>(whole.begin() + prompt_tokens, whole.end());
}

absl::StatusOr<std::vector<TokenId>> PromptIds(const ScoreInput& input,
                                               const ScoreModel& model) {
  if (!input.has_prompt) {
    std::vector<TokenId> bos = model.tokenizer.Encode("", /*add_bos=*/true);
    if (bos.empty()) {
      return NoPrompt("must be set: the model's vocabulary has no BOS");
    }
    return bos;
  }
  TANDEM_ASSIGN_OR_RETURN(
      EncodedPrompt prompt,
      EncodePrompt(input.prompt, model.tokenizer, /*last=*/{}));
  if (prompt.ids.empty()) return NoPrompt("has no tokens");
  return std::move(prompt.ids);
}

}  // namespace

absl::StatusOr<ScoreInput> ParseScore(v1::ScoreRequest* request,
                                      const ScoreModel& model) {
  const int count = request->continuations_size();
  if (count < 1 || count > kContinuationsMax) {
    return InvalidField(
        "continuations",
        absl::StrCat("must be 1 to ", kContinuationsMax, ", are ", count));
  }
  ScoreInput input;
  input.parse_special = request->parse_special();
  TANDEM_RETURN_IF_ERROR(ParseScorePrompt(request, model, &input));
  for (v1::Continuation& continuation : *request->mutable_continuations()) {
    const size_t index = input.continuations.size();
    switch (continuation.continuation_case()) {
      case v1::Continuation::kText:
        TANDEM_RETURN_IF_ERROR(ParseText(
            std::move(*continuation.mutable_text()), index, model, &input));
        break;
      case v1::Continuation::kTokens:
        TANDEM_RETURN_IF_ERROR(
            ParseIds(continuation.tokens(), index, model, &input));
        break;
      case v1::Continuation::CONTINUATION_NOT_SET:
        return InvalidField(PathOf(index, ""), "must be text or tokens");
    }
  }
  return input;
}

int64_t EncodeBytes(const ScoreInput& input) {
  const auto* const prompt = std::get_if<PromptText>(&input.prompt);
  if (prompt == nullptr) return 0;
  size_t bytes = prompt->text.size();
  for (const auto& continuation : input.continuations) {
    const auto* const text = std::get_if<std::string>(&continuation);
    if (text != nullptr) bytes += prompt->text.size() + text->size();
  }
  return static_cast<int64_t>(bytes);
}

absl::StatusOr<ScoreTokens> EncodeScore(ScoreInput input,
                                        const ScoreModel& model,
                                        const std::function<bool()>& is_over) {
  ScoreTokens tokens;
  TANDEM_ASSIGN_OR_RETURN(tokens.prompt, PromptIds(input, model));
  const auto prompt_tokens = static_cast<int64_t>(tokens.prompt.size());
  // Then no text is tokenised in vain.
  if (prompt_tokens >= model.context_max) {
    return TooLong("continuations[0]", prompt_tokens + 1, model.context_max);
  }
  int64_t scored = 0;
  for (size_t i = 0; i < input.continuations.size(); ++i) {
    if (is_over()) return absl::CancelledError("the client is gone");
    std::vector<TokenId> ids;
    if (auto* text = std::get_if<std::string>(&input.continuations[i])) {
      absl::StatusOr<std::vector<TokenId>> after =
          EncodeAfter(input, *text, tokens.prompt.size(), model.tokenizer);
      if (!after.ok()) {
        return InvalidField(PathOf(i, ".text"), after.status().message());
      }
      ids = *std::move(after);
    } else {
      ids = std::move(std::get<std::vector<TokenId>>(input.continuations[i]));
    }
    const auto count = static_cast<int64_t>(ids.size());
    if (prompt_tokens + count > model.context_max) {
      return TooLong(PathOf(i, ""), prompt_tokens + count, model.context_max);
    }
    scored += count;
    tokens.continuations.push_back(std::move(ids));
  }
  if (scored > kScoredTokensMax) {
    return InvalidField("continuations",
                        absl::StrCat("must have at most ", kScoredTokensMax,
                                     " tokens together, have ", scored));
  }
  return tokens;
}

}  // namespace tandem
