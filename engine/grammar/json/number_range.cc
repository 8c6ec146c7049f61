#include "engine/grammar/json/number_range.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem {
namespace {

// Every decimal of this many digits is another double.
constexpr size_t kDoubleDigits = 15;

// Digits behind one point, compared as those of a fraction.
struct FractionBound {
  std::string digits;
  bool is_exclusive = false;
};

class RangeMaker {
 public:
  explicit RangeMaker(GrammarBuilder* builder) : b_(*builder) {}

  // Whole numbers from `low` to `high`, if there is one.
  ExprId Whole(const std::string& low, const std::optional<std::string>& high) {
    if (high.has_value() && CompareDigits(low, *high) > 0) return b_.Never();
    if (high.has_value() && high->size() == low.size()) {
      return SameLength(low, *high);
    }
    std::vector<ExprId> parts = {SameLength(low, std::string(low.size(), '9'))};
    const auto shorter = static_cast<uint32_t>(low.size());
    if (!high.has_value()) {
      parts.push_back(Longer({.least = shorter, .most = kUnbounded}));
    } else {
      const auto longer = static_cast<uint32_t>(high->size());
      if (longer > shorter + 1) {
        parts.push_back(Longer({.least = shorter, .most = longer - 2}));
      }
      std::string shortest(longer, '0');
      shortest[0] = '1';
      parts.push_back(SameLength(shortest, *high));
    }
    return b_.OneOf(std::move(parts));
  }

  // Numbers that are not negative; both bounds are not.
  ExprId NotNegative(const NumberBound& low,
                     const std::optional<NumberBound>& high) {
    const std::string& whole = low.value.whole;
    const FractionBound low_fraction{low.value.fraction, low.is_exclusive};
    std::optional<std::string> last;
    std::vector<ExprId> parts;
    if (high.has_value()) {
      const FractionBound high_fraction{high->value.fraction,
                                        high->is_exclusive};
      const int order = CompareDigits(whole, high->value.whole);
      if (order > 0) return b_.Never();
      if (order == 0) {
        return b_.Sequence(
            {b_.Literal(whole), Fraction(whole, low_fraction, high_fraction)});
      }
      last = PreviousDigits(high->value.whole);
      parts.push_back(b_.Sequence(
          {b_.Literal(high->value.whole),
           Fraction(high->value.whole, std::nullopt, high_fraction)}));
    }
    parts.push_back(b_.Sequence(
        {b_.Literal(whole), Fraction(whole, low_fraction, std::nullopt)}));
    parts.push_back(b_.Sequence({Whole(NextDigits(whole), last),
                                 Fraction(whole, std::nullopt, std::nullopt)}));
    return b_.OneOf(std::move(parts));
  }

 private:
  ExprId Digit(char first, char last) {
    return b_.Chars(CharSet({{.first = static_cast<uint32_t>(first),
                              .last = static_cast<uint32_t>(last)}}));
  }

  // A digit that is not 0, and more.
  ExprId Longer(Bounds more) {
    return b_.Sequence({Digit('1', '9'), b_.Repeat(Digit('0', '9'), more)});
  }

  // Where a number stands that has `place` digits so far: still equal to the
  // low and to the high bound, or not.
  struct Node {
    size_t place = 0;
    bool at_low = false;
    bool at_high = false;

    uint32_t id() const {
      return static_cast<uint32_t>(place * 4 + at_low * 2 + at_high);
    }
  };

  // Adds the edges for the next digit to nodes at `next_place`; digits behind
  // the bounds' ends are 0.
  void AddDigits(const Node& node, absl::string_view low,
                 absl::string_view high, size_t next_place,
                 std::vector<Expr::Edge>* edges) {
    const auto digit_of = [&node](absl::string_view digits) {
      return node.place < digits.size() ? digits[node.place] : '0';
    };
    const char first = node.at_low ? digit_of(low) : '0';
    const char last = node.at_high ? digit_of(high) : '9';
    const auto add = [&](char from, char to, bool at_low, bool at_high) {
      if (from > to) return;
      const Node next{next_place, at_low, at_high};
      edges->push_back(
          {.from = node.id(), .to = next.id(), .part = Digit(from, to)});
    };
    if (first == last) {
      add(first, last, node.at_low, node.at_high);
    } else if (first < last) {
      add(first, first, node.at_low, false);
      add(static_cast<char>(first + 1), static_cast<char>(last - 1), false,
          false);
      add(last, last, false, node.at_high);
    }
  }

  ExprId SameLength(const std::string& low, const std::string& high) {
    std::vector<Expr::Edge> edges;
    const size_t length = low.size();
    const Node start{0, true, true};
    const auto end = static_cast<uint32_t>(length * 4 + 4);
    for (size_t place = 0; place < length; ++place) {
      for (uint32_t flags = 0; flags < 4; ++flags) {
        AddDigits({place, flags / 2 != 0, flags % 2 != 0}, low, high, place + 1,
                  &edges);
      }
    }
    for (uint32_t flags = 0; flags < 4; ++flags) {
      edges.push_back({.from = static_cast<uint32_t>(length * 4) + flags,
                       .to = end,
                       .part = b_.Empty()});
    }
    return FromNode(start.id(), end, std::move(edges));
  }

  // A graph begins in node 0, which has no edge that leads to it.
  ExprId FromNode(uint32_t start, uint32_t end, std::vector<Expr::Edge> edges) {
    std::vector<Expr::Edge> moved = {
        {.from = 0, .to = start + 1, .part = b_.Empty()}};
    for (const Expr::Edge& edge : edges) {
      moved.push_back(
          {.from = edge.from + 1, .to = edge.to + 1, .part = edge.part});
    }
    return b_.Graph(end + 2, std::move(moved));
  }

  // Nothing, or a point and digits, of a number with the digits `whole` before
  // it.
  ExprId Fraction(const std::string& whole,
                  const std::optional<FractionBound>& low,
                  const std::optional<FractionBound>& high) {
    const std::string low_digits = low.has_value() ? low->digits : "";
    const std::string high_digits = high.has_value() ? high->digits : "";
    const bool is_exclusive = (low.has_value() && low->is_exclusive) ||
                              (high.has_value() && high->is_exclusive);
    size_t places = std::max(low_digits.size(), high_digits.size()) + 1;
    if (is_exclusive) {
      places = std::max(places,
                        kDoubleDigits - std::min(kDoubleDigits, whole.size()));
    }
    // Without a bound no way leads to the nodes at it.
    const auto is_within = [&](const Node& node) {
      const bool is_low = node.at_low && low.has_value();
      const bool is_high = node.at_high && high.has_value();
      if (is_low && (node.place < low_digits.size() || low->is_exclusive)) {
        return false;
      }
      return !is_high || node.place < high_digits.size() || !high->is_exclusive;
    };
    std::vector<Expr::Edge> edges;
    const auto end = static_cast<uint32_t>(places * 4 + 4);
    for (size_t place = 0; place <= places; ++place) {
      for (uint32_t flags = 0; flags < 4; ++flags) {
        const Node node{place, flags / 2 != 0, flags % 2 != 0};
        if (place < places || !is_exclusive) {
          AddDigits(node, low_digits, high_digits, std::min(place + 1, places),
                    &edges);
        }
        if (place > 0 && is_within(node)) {
          edges.push_back({.from = node.id(), .to = end, .part = b_.Empty()});
        }
      }
    }
    const Node start{0, low.has_value(), high.has_value()};
    const ExprId digits = b_.Sequence(
        {b_.Literal("."), FromNode(start.id(), end, std::move(edges))});
    return is_within(start) ? b_.Optional(digits) : digits;
  }

  GrammarBuilder& b_;
};

// The least whole number that is not below the bound, and the like above.
Decimal RoundedUp(const Decimal& value, bool is_exclusive);

Decimal RoundedDown(const Decimal& value, bool is_exclusive) {
  return RoundedUp(value.Negated(), is_exclusive).Negated();
}

Decimal RoundedUp(const Decimal& value, bool is_exclusive) {
  Decimal rounded{.is_negative = value.is_negative, .whole = value.whole};
  const bool goes_up = value.IsWhole() ? is_exclusive : !value.is_negative;
  if (goes_up) {
    rounded.whole = value.is_negative ? PreviousDigits(value.whole)
                                      : NextDigits(value.whole);
  }
  if (rounded.whole == "0") rounded.is_negative = false;
  return rounded;
}

}  // namespace

bool NumberRange::Contains(const Decimal& value) const {
  if (low.has_value()) {
    const int order = Compare(value, low->value);
    if (order < 0 || (order == 0 && low->is_exclusive)) return false;
  }
  if (high.has_value()) {
    const int order = Compare(value, high->value);
    if (order > 0 || (order == 0 && high->is_exclusive)) return false;
  }
  return true;
}

bool NumberRange::IsDisjoint(const NumberRange& other) const {
  const auto is_below = [](const NumberRange& a, const NumberRange& b) {
    if (!a.high.has_value() || !b.low.has_value()) return false;
    const int order = Compare(a.high->value, b.low->value);
    return order < 0 ||
           (order == 0 && (a.high->is_exclusive || b.low->is_exclusive));
  };
  return is_below(*this, other) || is_below(other, *this);
}

void NumberRange::NarrowLow(const NumberBound& bound) {
  const int order = low.has_value() ? Compare(bound.value, low->value) : 1;
  if (order > 0 || (order == 0 && bound.is_exclusive)) low = bound;
}

void NumberRange::NarrowHigh(const NumberBound& bound) {
  const int order = high.has_value() ? Compare(bound.value, high->value) : -1;
  if (order < 0 || (order == 0 && bound.is_exclusive)) high = bound;
}

ExprId IntegersIn(const NumberRange& range, GrammarBuilder* builder) {
  RangeMaker maker(builder);
  std::optional<Decimal> low;
  std::optional<Decimal> high;
  if (range.low.has_value()) {
    low = RoundedUp(range.low->value, range.low->is_exclusive);
  }
  if (range.high.has_value()) {
    high = RoundedDown(range.high->value, range.high->is_exclusive);
  }
  const auto digits = [](const std::optional<Decimal>& value) {
    return value.has_value() ? std::optional<std::string>(value->whole)
                             : std::nullopt;
  };
  std::vector<ExprId> parts;
  if (!high.has_value() || !high->is_negative) {
    const bool from_low = low.has_value() && !low->is_negative;
    parts.push_back(maker.Whole(from_low ? low->whole : "0", digits(high)));
  }
  if (!low.has_value() || low->is_negative) {
    const bool from_high = high.has_value() && high->is_negative;
    parts.push_back(builder->Sequence(
        {builder->Literal("-"),
         maker.Whole(from_high ? high->whole : "1", digits(low))}));
  }
  return builder->OneOf(std::move(parts));
}

ExprId NumbersIn(const NumberRange& range, GrammarBuilder* builder) {
  RangeMaker maker(builder);
  const auto negated = [](const std::optional<NumberBound>& bound) {
    std::optional<NumberBound> result = bound;
    if (result.has_value()) result->value = bound->value.Negated();
    return result;
  };
  const auto from = [](const std::optional<NumberBound>& bound) {
    return bound.has_value() && !bound->value.is_negative ? *bound
                                                          : NumberBound();
  };
  std::vector<ExprId> parts;
  if (!range.high.has_value() || !range.high->value.is_negative) {
    parts.push_back(maker.NotNegative(from(range.low), range.high));
  }
  const bool has_negative =
      !range.low.has_value() || range.low->value.is_negative;
  if (has_negative) {
    // Below zero the bounds change places.
    parts.push_back(builder->Sequence(
        {builder->Literal("-"),
         maker.NotNegative(from(negated(range.high)), negated(range.low))}));
  }
  return builder->OneOf(std::move(parts));
}

}  // namespace tandem
