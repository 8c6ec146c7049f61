// JSON numbers between two bounds, as grammar expressions. Pure functions.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_NUMBER_RANGE_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_NUMBER_RANGE_H_

#include <optional>

#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/decimal.h"

namespace tandem {

struct NumberBound {
  Decimal value = {};
  bool is_exclusive = false;
};

struct NumberRange {
  std::optional<NumberBound> low = {};
  std::optional<NumberBound> high = {};

  bool IsAll() const { return !low.has_value() && !high.has_value(); }
  bool Contains(const Decimal& value) const;
  // No number is in both.
  bool IsDisjoint(const NumberRange& other) const;
  // Takes the narrower of both bounds.
  void NarrowLow(const NumberBound& bound);
  void NarrowHigh(const NumberBound& bound);
};

// The whole numbers in `range`, without point and exponent; zero is "0".
ExprId IntegersIn(const NumberRange& range, GrammarBuilder* builder);

// The numbers in `range`, without exponent. Beside an exclusive bound they have
// at most 15 significant digits, so that a reader who takes them for doubles
// sees them on the right side of it.
ExprId NumbersIn(const NumberRange& range, GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_NUMBER_RANGE_H_
