// A decimal number of any size, exactly. A plain value.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_DECIMAL_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_DECIMAL_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

// Digits before and after the point that a Decimal may have.
inline constexpr int kDecimalDigitsMax = 60;

struct Decimal {
  bool is_negative = false;   // never of zero
  std::string whole = "0";    // digits, without needless zeros in front
  std::string fraction = {};  // digits, without zeros at the end

  bool IsWhole() const { return fraction.empty(); }
  bool IsZero() const { return whole == "0" && fraction.empty(); }
  Decimal Negated() const;

  friend bool operator==(const Decimal&, const Decimal&) = default;
};

// The number that a JSON number says, or nothing where it has more digits
// than kDecimalDigitsMax before or after the point.
std::optional<Decimal> DecimalOf(absl::string_view json_number);

// -1, 0 or 1, as a - b.
int Compare(const Decimal& a, const Decimal& b);

// The same of two whole numbers' digits.
int CompareDigits(absl::string_view a, absl::string_view b);

// The digits of a whole number that is greater or, of one that is not "0",
// less by one.
std::string NextDigits(std::string digits);
std::string PreviousDigits(std::string digits);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_DECIMAL_H_
