#include "engine/tokenizer/response_grammar.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"

namespace tandem {

absl::string_view ResponseFormatField(GrammarSource::Kind kind) {
  switch (kind) {
    case GrammarSource::Kind::kJsonSchema:
      return "response_format.json_schema";
    case GrammarSource::Kind::kJsonObject:
      return "response_format.json_object";
    case GrammarSource::Kind::kRegex:
      return "response_format.regex";
    case GrammarSource::Kind::kGbnf:
      return "response_format.grammar";
    case GrammarSource::Kind::kChoices:
      return "response_format.choices";
    case GrammarSource::Kind::kTags:
      return "response_format.tags";
  }
  return "response_format";
}

absl::StatusOr<std::shared_ptr<const TokenMasks>> CompileResponseFormat(
    const Tokenizer& tokenizer, const GenOptions& options) {
  if (!options.response_format.has_value()) return nullptr;
  const GrammarSource& source = *options.response_format;
  if (const absl::Status preamble = CheckPreamble(source); !preamble.ok()) {
    return InvalidField("response_format", preamble.message());
  }
  absl::StatusOr<std::shared_ptr<const TokenMasks>> masks =
      tokenizer.grammars().Get(source);
  if (!masks.ok()) {
    return InvalidField(ResponseFormatField(source.kind),
                        masks.status().message());
  }
  return masks;
}

bool IsStopToken(const Tokenizer& tokenizer, const GenOptions& options,
                 TokenId id) {
  if (!options.ignore_eos && tokenizer.IsEndOfGeneration(id)) return true;
  return std::find(options.stop_token_ids.begin(), options.stop_token_ids.end(),
                   id) != options.stop_token_ids.end();
}

std::vector<TokenId> StopTokens(const Tokenizer& tokenizer,
                                const GenOptions& options) {
  std::vector<TokenId> tokens = options.stop_token_ids;
  if (options.ignore_eos) return tokens;
  const absl::Span<const TokenId> ends = tokenizer.end_tokens();
  tokens.insert(tokens.end(), ends.begin(), ends.end());
  return tokens;
}

TokenConstraint ConstraintOf(const Tokenizer& tokenizer,
                             const GenOptions& options,
                             std::shared_ptr<const TokenMasks> grammar) {
  if (grammar == nullptr && options.min_tokens == 0) return {};
  return TokenConstraint({.masks = std::move(grammar),
                          .stop_tokens = StopTokens(tokenizer, options),
                          .min_tokens = options.min_tokens});
}

}  // namespace tandem
