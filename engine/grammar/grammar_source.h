// What a client may ask a reply to be, and the grammar of it. Pure functions;
// any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_GRAMMAR_SOURCE_H_
#define TANDEM_ENGINE_GRAMMAR_GRAMMAR_SOURCE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar.h"

namespace tandem {

inline constexpr size_t kChoicesMax = 10'000;

struct GrammarSource {
  enum class Kind {
    kJsonSchema,  // a JSON text that the schema `text` takes
    kJsonObject,  // any JSON object
    kRegex,       // a text that the regular expression `text` matches as whole
    kGbnf,        // a text of the rule `root` of the GBNF grammar `text`
    kChoices,     // one of `choices`, 1 to kChoicesMax, none of them empty
  };
  Kind kind = Kind::kJsonObject;
  std::string text = {};
  std::vector<std::string> choices = {};

  friend bool operator==(const GrammarSource&, const GrammarSource&) = default;
};

// Bytes of its texts.
size_t BytesOf(const GrammarSource& source);

// Errors: INVALID_ARGUMENT, with the place within the source first: a JSON
// pointer ("/properties/a: ..."), "character 5: ...", "line 2, column 3: ..."
// or "choice 3: ...". A source takes at most kGrammarSourceBytesMax bytes and
// kGrammarStatesMax states.
absl::StatusOr<Grammar> CompileGrammar(const GrammarSource& source);

// SHA-256 of a source in hexadecimal: equal keys mean equal grammars.
std::string KeyOf(const GrammarSource& source);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_GRAMMAR_SOURCE_H_
