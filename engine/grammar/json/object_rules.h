// JSON objects and arrays whose members are given, as grammar expressions. Pure
// functions.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_OBJECT_RULES_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_OBJECT_RULES_H_

#include <string>

#include "absl/types/span.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/json_rules.h"

namespace tandem {

struct ObjectMember {
  std::string name;
  ExprId value = 0;
  bool is_required = false;
};

// Objects that have `members` in this order, the required ones in any case,
// and then others, whose names differ from theirs and whose values are
// `additional`. Names are spelt canonically, except where there are no members.
// `counts`: members of an object; the least is 0, 1, or no more than are
// required; the most counts where `members` is empty.
ExprId ObjectOf(absl::Span<const ObjectMember> members, ExprId additional,
                Bounds counts, JsonRules* rules, GrammarBuilder* builder);

// Arrays whose first items are those of `prefix`, as far as they are there, and
// the others `items`.
ExprId ArrayOf(absl::Span<const ExprId> prefix, ExprId items, Bounds counts,
               JsonRules* rules, GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_OBJECT_RULES_H_
