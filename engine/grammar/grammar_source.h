// What a client may ask a reply to be, and the grammar of it. Pure functions;
// any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_GRAMMAR_SOURCE_H_
#define TANDEM_ENGINE_GRAMMAR_GRAMMAR_SOURCE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar.h"
#include "engine/grammar/automaton/token_trie.h"

namespace tandem {

inline constexpr size_t kChoicesMax = 10'000;
inline constexpr size_t kTagsMax = 128;
// Tags in one text at most.
inline constexpr int kTagCountMax = 64;
inline constexpr size_t kPreambleBytesMax = 256;

// A JSON text between two marks. The texts of control tokens in `begin` and
// `end` are these tokens, as in all texts of TextTags.
struct JsonTag {
  std::string begin;             // not empty
  std::string json_schema = {};  // empty: any JSON object
  std::string end = {};          // may be empty

  friend bool operator==(const JsonTag&, const JsonTag&) = default;
};

// Free text, and then tags, with nothing after them:
// proto/tandem/v1/types.proto has the meaning of each field (TagsFormat).
struct TextTags {
  std::vector<JsonTag> tags = {};  // at most kTagsMax
  std::string trigger = {};
  bool trigger_at_start = false;
  std::string section_begin = {};
  std::string separator = {};
  std::string section_end = {};
  int tags_min = 0;
  int tags_max = kTagCountMax;

  friend bool operator==(const TextTags&, const TextTags&) = default;
};

struct GrammarSource {
  enum class Kind {
    kJsonSchema,  // a JSON text that the schema `text` takes
    kJsonObject,  // any JSON object
    kRegex,       // a text that the regular expression `text` matches as whole
    kGbnf,        // a text of the rule `root` of the GBNF grammar `text`
    kChoices,     // one of `choices`, 1 to kChoicesMax, none of them empty
    kTags,        // free text with `tags`
  };
  Kind kind = Kind::kJsonObject;
  std::string text = {};
  std::vector<std::string> choices = {};
  TextTags tags = {};
  // Where preamble_end is not empty, the text of the grammar follows a first
  // part that begins with preamble_begin and ends with preamble_end; without
  // preamble_begin there always is such a part, else it may be left out.
  std::string preamble_begin = {};
  std::string preamble_end = {};
  // What stands before the text of the grammar and after the preamble; of
  // `tags` before the free text alone, and there are tags or a text then.
  std::string answer_begin = {};

  friend bool operator==(const GrammarSource&, const GrammarSource&) = default;
};

// Bytes of its texts.
size_t BytesOf(const GrammarSource& source);

// Errors: INVALID_ARGUMENT, with the place within the source first: a JSON
// pointer ("/properties/a: ..."), "character 5: ...", "line 2, column 3: ...",
// "choice 3: ...", "tags[3].json_schema: /properties/a: ..." or what
// CheckPreamble says. A source takes at most kGrammarSourceBytesMax bytes and
// kGrammarStatesMax states. Tags, preamble and answer_begin name the control
// tokens of `vocabulary`.
absl::StatusOr<Grammar> CompileGrammar(const GrammarSource& source,
                                       const TokenTrie& vocabulary);
// The same for a vocabulary without control tokens.
absl::StatusOr<Grammar> CompileGrammar(const GrammarSource& source);

// Whether preamble and answer_begin alone are right. Errors: INVALID_ARGUMENT,
// "preamble_end: ...", "preamble_begin: ..." or "answer_begin: ...".
absl::Status CheckPreamble(const GrammarSource& source);

// SHA-256 of a source in hexadecimal: equal keys mean equal grammars.
std::string KeyOf(const GrammarSource& source);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_GRAMMAR_SOURCE_H_
