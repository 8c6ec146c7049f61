// Builds a Grammar from expressions. One thread; lives while one grammar is
// compiled.
//
// Expressions form a tree whose nodes may be shared: the same ExprId may stand
// in many places. The limits below are what a grammar may take; the first that
// is passed is kept, later calls do nothing, and Build returns the error.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_BUILDER_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_BUILDER_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/char_set.h"
#include "engine/grammar/automaton/grammar.h"
#include "engine/grammar/automaton/work_budget.h"

namespace tandem {

using ExprId = uint32_t;

// Source text of a schema, an expression, a GBNF or of all choices.
inline constexpr size_t kGrammarSourceBytesMax = 256 << 10;
// States of all rules. A schema of 50 properties has about 1,500; 65,536 take
// 5 MB.
inline constexpr size_t kGrammarStatesMax = 1 << 16;
inline constexpr size_t kGrammarExprsMax = 1 << 18;
// Nested groups, schemas and JSON values of a source.
inline constexpr int kGrammarDepthMax = 100;
// Times that a repetition may name.
inline constexpr uint32_t kRepeatMax = 1'000'000;

// An expression; what its members mean depends on the kind.
struct Expr {
  enum class Kind {
    kNever,     // matches nothing
    kLiterals,  // one of `texts`; "" is a text too
    kChars,     // one character of `set`, as UTF-8
    kByte,      // one byte of `byte`
    kSequence,  // all of `parts`, one after the other
    kOneOf,     // one of `parts`
    kRepeat,    // parts[0], as often as `bounds` say
    kCall,      // what `rule` matches
    kGraph,     // the parts on a path from node 0 to node `nodes` - 1
  };
  // A part of a graph: parts[part] leads from a node to a node.
  struct Edge {
    uint32_t from = 0;
    uint32_t to = 0;
    ExprId part = 0;
  };
  Kind kind = Kind::kNever;
  std::vector<std::string> texts = {};
  CharSet set = {};
  ByteRange byte = {};
  std::vector<ExprId> parts = {};
  Bounds bounds = {};
  RuleId rule = 0;
  uint32_t nodes = 0;
  std::vector<Edge> edges = {};
};

class GrammarBuilder {
 public:
  GrammarBuilder();

  GrammarBuilder(const GrammarBuilder&) = delete;
  GrammarBuilder& operator=(const GrammarBuilder&) = delete;

  ExprId Never() const { return 0; }
  ExprId Empty() const { return 1; }
  ExprId Literal(absl::string_view text);
  ExprId Literals(std::vector<std::string> texts);
  ExprId Chars(CharSet set);
  // What a graph makes of bytes must be UTF-8 in the end, or a control token.
  ExprId Byte(ByteRange byte);
  ExprId Sequence(std::vector<ExprId> parts);
  ExprId OneOf(std::vector<ExprId> parts);
  ExprId Optional(ExprId part) { return OneOf({part, Empty()}); }
  // `bounds.least` <= kRepeatMax; `most` too, or kUnbounded.
  ExprId Repeat(ExprId part, Bounds bounds);
  ExprId Star(ExprId part) {
    return Repeat(part, {.least = 0, .most = kUnbounded});
  }
  ExprId Call(RuleId rule);
  // Paths over `edges` among `nodes` >= 1 nodes, from the first to the last.
  ExprId Graph(uint32_t nodes, std::vector<Expr::Edge> edges);

  // A rule without a body, which matches nothing. `name` is for errors; one
  // that calls itself has one.
  RuleId AddRule(absl::string_view name);
  void SetBody(RuleId rule, ExprId body) { bodies_[rule] = body; }
  void SetName(RuleId rule, absl::string_view name) {
    names_[rule] = std::string(name);
  }

  // What compiling takes beside the parts of the grammar.
  WorkBudget* budget() { return &budget_; }

  const Expr& expr(ExprId id) const { return exprs_[id]; }
  // What was passed, if a limit was.
  const absl::Status& status() const { return status_; }

  // The grammar of `root`. Called once. Errors: INVALID_ARGUMENT with
  // INVALID_OPTIONS where a limit is passed, a rule is left-recursive or
  // nothing matches.
  absl::StatusOr<Grammar> Build(RuleId root);

 private:
  friend class AutomatonBuilder;

  ExprId Add(Expr expr);

  absl::Status status_;
  WorkBudget budget_;
  std::deque<Expr> exprs_;
  std::vector<ExprId> bodies_;      // [rules]
  std::vector<std::string> names_;  // [rules]
};

// INVALID_ARGUMENT with INVALID_OPTIONS: what all errors of grammars are.
// `message` begins with the place, "line 3, column 7: ...", and becomes one
// line.
absl::Status InvalidGrammar(absl::string_view message);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_BUILDER_H_
