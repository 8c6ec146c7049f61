// The tags of a source (TextTags) to grammars. README.md has what such a text
// is. Pure function; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_TAGS_COMPILER_H_
#define TANDEM_ENGINE_GRAMMAR_TAGS_COMPILER_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/automaton/token_trie.h"
#include "engine/grammar/free_text.h"
#include "engine/grammar/grammar_source.h"

namespace tandem {

struct CompiledTags {
  // The whole text, with the white space that may stand before it.
  ExprId text = 0;
  // Where the whole text begins as free text: the mark that ends it.
  std::optional<FreeTextMark> trigger = {};
};

// `answer_begin`: that of GrammarSource, as TokenTrie::WithControlTokens
// returns it. Errors: INVALID_ARGUMENT, "tags[3].begin: ..." by the field of
// TextTags.
absl::StatusOr<CompiledTags> CompileTags(const TextTags& tags,
                                         absl::string_view answer_begin,
                                         const TokenTrie& vocabulary,
                                         GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_TAGS_COMPILER_H_
