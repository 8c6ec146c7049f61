// The grammar that a turn's options ask for, in a model's vocabulary. Pure
// functions; any thread.

#ifndef TANDEM_ENGINE_TOKENIZER_RESPONSE_GRAMMAR_H_
#define TANDEM_ENGINE_TOKENIZER_RESPONSE_GRAMMAR_H_

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/token_masks.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/token_constraint.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// The field of a request that has a source of this kind:
// "response_format.json_schema".
absl::string_view ResponseFormatField(GrammarSource::Kind kind);

// The compiled grammar of options.response_format, from the tokenizer's cache
// where it is there; null where the options ask for none. Takes up to 1 s:
// never on an event loop. Errors: INVALID_ARGUMENT with INVALID_OPTIONS, by
// ResponseFormatField, with the place in the source; of a preamble by
// "response_format".
absl::StatusOr<std::shared_ptr<const TokenMasks>> CompileResponseFormat(
    const Tokenizer& tokenizer, const GenOptions& options);

// True for tokens that end a turn: the vocabulary's end-of-generation tokens
// unless ignored, and stop_token_ids. Their text is not part of the turn's.
bool IsStopToken(const Tokenizer& tokenizer, const GenOptions& options,
                 TokenId id);
// All of them.
std::vector<TokenId> StopTokens(const Tokenizer& tokenizer,
                                const GenOptions& options);

// What the options and their grammar let a turn say. `grammar`: of
// CompileResponseFormat.
TokenConstraint ConstraintOf(const Tokenizer& tokenizer,
                             const GenOptions& options,
                             std::shared_ptr<const TokenMasks> grammar);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_RESPONSE_GRAMMAR_H_
