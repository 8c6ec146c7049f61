#include "engine/grammar/json/decimal.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

std::string WithoutLeadingZeros(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  return digits.empty() ? "0" : digits;
}

int Sign(int comparison) { return comparison < 0 ? -1 : comparison > 0; }

}  // namespace

Decimal Decimal::Negated() const {
  Decimal negated = *this;
  negated.is_negative = !is_negative && !IsZero();
  return negated;
}

std::optional<Decimal> DecimalOf(absl::string_view number) {
  Decimal decimal;
  decimal.is_negative = absl::ConsumePrefix(&number, "-");
  const size_t mantissa_end =
      std::min(number.find_first_of("eE"), number.size());
  int exponent = 0;
  if (mantissa_end < number.size()) {
    absl::string_view text = number.substr(mantissa_end + 1);
    absl::ConsumePrefix(&text, "+");
    if (!absl::SimpleAtoi(text, &exponent)) return std::nullopt;
  }
  const absl::string_view mantissa = number.substr(0, mantissa_end);
  const size_t point = std::min(mantissa.find('.'), mantissa.size());
  std::string digits(mantissa.substr(0, point));
  if (point < mantissa.size()) {
    digits.append(mantissa.begin() + point + 1, mantissa.end());
  }
  // Where the point stands among the digits.
  int64_t at = static_cast<int64_t>(point) + exponent;
  const size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
  digits.erase(0, zeros);
  at -= static_cast<int64_t>(zeros);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.empty()) return Decimal();
  const auto size = static_cast<int64_t>(digits.size());
  if (at > kDecimalDigitsMax || size - at > kDecimalDigitsMax) {
    return std::nullopt;
  }
  if (at < 0) digits.insert(0, static_cast<size_t>(-at), '0');
  if (at > size) digits.append(static_cast<size_t>(at - size), '0');
  at = std::max<int64_t>(at, 0);
  decimal.whole = WithoutLeadingZeros(digits.substr(0, at));
  decimal.fraction = digits.substr(at);
  return decimal;
}

int CompareDigits(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return Sign(a.compare(b));
}

int Compare(const Decimal& a, const Decimal& b) {
  if (a.is_negative != b.is_negative) return a.is_negative ? -1 : 1;
  int magnitude = CompareDigits(a.whole, b.whole);
  if (magnitude == 0) magnitude = Sign(a.fraction.compare(b.fraction));
  return a.is_negative ? -magnitude : magnitude;
}

std::string NextDigits(std::string digits) {
  for (size_t i = digits.size(); i-- > 0;) {
    if (digits[i] != '9') {
      ++digits[i];
      return digits;
    }
    digits[i] = '0';
  }
  digits.insert(digits.begin(), '1');
  return digits;
}

std::string PreviousDigits(std::string digits) {
  for (size_t i = digits.size(); i-- > 0;) {
    if (digits[i] != '0') {
      --digits[i];
      break;
    }
    digits[i] = '9';
  }
  return WithoutLeadingZeros(digits);
}

}  // namespace tandem
