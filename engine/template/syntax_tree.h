// A parsed template: statements and the expressions in them. Values; they do
// not change after parsing and any thread may read them.

#ifndef TANDEM_ENGINE_TEMPLATE_SYNTAX_TREE_H_
#define TANDEM_ENGINE_TEMPLATE_SYNTAX_TREE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/template/builtins.h"
#include "engine/template/operators.h"
#include "engine/template/template_value.h"

namespace tandem {

// Brackets, operators and statements in one another: parser and interpreter
// recurse. Python's own parser takes 100 to 200.
inline constexpr int kNestingMax = 100;
// Operators of a chain such as a + b + c, filters and items one after another.
inline constexpr int kChainMax = 200;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    kConstant,   // constant
    kName,       // name
    kCaptured,   // what the body of a set or filter block has put out
    kList,       // operands
    kTuple,      // operands
    kMap,        // operands: key, value, key, value ...
    kAttribute,  // operands[0] . name
    kItem,       // operands[0] [ operands[1] ]
    kSlice,      // operands: start, stop, step, each may be null
    kCall,       // operands[0] ( operands[1...], named )
    kFilter,     // operands[0] | builtin ( operands[1...], named )
    kTest,       // operands[0] is builtin ( operands[1...], named )
    kNegate,
    kPlus,
    kBinary,   // operands[0] binary operands[1]
    kConcat,   // operands, joined by ~
    kCompare,  // operands[0] comparisons[0] operands[1] ...
    kAnd,
    kOr,
    kNot,
    kCondition,  // operands: then, condition, else (may be null)
  };

  Kind kind = Kind::kConstant;
  size_t offset = 0;  // in the source
  int depth = 1;      // of the tree
  TemplateValue constant;
  std::string name;
  std::vector<ExpressionPtr> operands;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional;  // *expression of a call
  ExpressionPtr more_named;       // **expression of a call
  BinaryOperator binary = BinaryOperator::kAdd;
  std::vector<Comparison> comparisons;
  const Builtin* builtin = nullptr;  // of a filter or test
};

// What a value is assigned to.
struct AssignTarget {
  size_t offset = 0;
  std::string name = {};       // empty for a tuple
  std::string attribute = {};  // of the namespace `name`; else empty
  std::vector<AssignTarget> items = {};
};

struct MacroParameter {
  std::string name;
  ExpressionPtr default_value;  // may be null
};

struct Statement {
  enum class Kind {
    kText,         // text
    kOutput,       // expressions, one after another
    kIf,           // branches; `otherwise`
    kFor,          // target in expressions[0], if condition; body; otherwise
    kSet,          // target = expressions[0]
    kSetBlock,     // target = body through expressions[0]
    kMacro,        // name, parameters, body
    kCall,         // expressions[0] is a call; parameters and body its caller
    kFilterBlock,  // body through expressions[0]
    kWith,         // targets = expressions; body
    kScope,        // body with variables of its own
    kBreak,
    kContinue,
  };
  struct Branch {
    ExpressionPtr condition;
    std::vector<Statement> body;
  };

  Kind kind = Kind::kText;
  size_t offset = 0;  // in the source
  TemplateValue text = {};
  std::vector<ExpressionPtr> expressions = {};
  ExpressionPtr condition = {};  // may be null
  std::vector<AssignTarget> targets = {};
  std::vector<Branch> branches = {};
  std::vector<Statement> body = {};
  std::vector<Statement> otherwise = {};
  std::string name = {};
  std::vector<MacroParameter> parameters = {};
  // Of a macro or caller: whether it speaks of these, and so takes them.
  bool takes_varargs = false;
  bool takes_kwargs = false;
  bool takes_caller = false;
};

struct TemplateSyntax {
  std::string source;
  std::vector<Statement> body = {};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_SYNTAX_TREE_H_
