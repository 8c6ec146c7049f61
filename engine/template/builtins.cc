#include "engine/template/builtins.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Call = BuiltinCall;
using Kind = Value::Kind;
using ListKind = Value::ListKind;

// Digits before or behind the point that round keeps; a double has no more.
constexpr int64_t kRoundDigitsMax = 308;

constexpr absl::string_view kRefused[] = {
    "e",      "escape",   "filesizeformat", "forceescape",
    "pprint", "random",   "striptags",      "urlencode",
    "urlize", "wordwrap", "xmlattr"};

constexpr absl::string_view kChangingListMethods[] = {
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
constexpr absl::string_view kChangingMapMethods[] = {"clear", "pop", "popitem",
                                                     "setdefault", "update"};

// Filters of numbers, and those that turn values into one another.

RenderBudget::Nothing FailForNumber(const Call& call) {
  return call.budget.Fail("needs a number, is given ", KindName(call.value));
}

Value Default(const Call& call) {
  const bool replaces_false = call.IsTrueAt(1);
  if (!call.value.is_undefined() && (!replaces_false || IsTrue(call.value))) {
    return call.value;
  }
  return call.Has(0) ? *call.bound[0] : Value::Text("");
}

Value Abs(const Call& call) {
  const Value& value = call.value;
  if (!value.is_number()) return FailForNumber(call);
  if (value.is_float()) return Value::Float(std::fabs(value.number()));
  return value.whole() < 0 ? Negate(value, call.budget)
                           : Value::Integer(value.whole());
}

// The attribute of an object; maps have items instead.
Value Attr(const Call& call) {
  if (call.value.is_object() || call.value.is_undefined()) {
    return LookUp(call.value, *call.bound[0], call.budget);
  }
  return Value::Undefined(
      absl::StrCat(KindName(call.value), " has no such attribute"));
}

// `text` as Python reads numbers: white space around, underscores between
// digits.
std::optional<std::string> NumberText(absl::string_view text) {
  const auto [begin, end] = StripSpace(text, TextEnds::kBoth);
  std::string digits;
  for (size_t i = begin; i < end; ++i) {
    if (text[i] != '_') {
      digits.push_back(text[i]);
    } else if (i == begin || i + 1 == end ||
               !absl::ascii_isalnum(text[i - 1]) ||
               !absl::ascii_isalnum(text[i + 1])) {
      return std::nullopt;
    }
  }
  if (digits.empty()) return std::nullopt;
  return digits;
}

std::optional<double> FloatOf(const Value& value) {
  if (value.is_number()) return value.number();
  if (!value.is_text()) return std::nullopt;
  const std::optional<std::string> digits = NumberText(value.text().bytes());
  double number = 0;
  // No hexadecimal ones, which SimpleAtod would take.
  if (!digits.has_value() || digits->find_first_of("xX") != std::string::npos ||
      !absl::SimpleAtod(*digits, &number)) {
    return std::nullopt;
  }
  return number;
}

// `digits` in `base`, with an optional sign and the prefix of the base; empty
// where they are none or beyond 64 bits.
std::optional<int64_t> ReadWhole(absl::string_view digits, int64_t base) {
  const bool is_negative = absl::ConsumePrefix(&digits, "-");
  if (!is_negative) absl::ConsumePrefix(&digits, "+");
  const std::string kind = absl::AsciiStrToLower(digits.substr(0, 2));
  const int64_t named = kind == "0x"   ? 16
                        : kind == "0o" ? 8
                        : kind == "0b" ? 2
                                       : 0;
  if (named != 0 && digits.size() > 2 && (base == named || base == 0)) {
    digits.remove_prefix(2);
    base = named;
  }
  if (base == 0) base = 10;
  // Downwards, where there is one number more.
  int64_t number = 0;
  for (const char c : digits) {
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    int64_t digit = 99;
    if (absl::ascii_isdigit(lower)) digit = lower - '0';
    if (absl::ascii_islower(lower)) digit = lower - 'a' + 10;
    if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
        __builtin_sub_overflow(number, digit, &number)) {
      return std::nullopt;
    }
  }
  const bool is_lowest = number == std::numeric_limits<int64_t>::min();
  if (digits.empty() || (is_lowest && !is_negative)) return std::nullopt;
  return is_negative ? number : -number;
}

// `number` without what is behind its point.
Value WholeOf(double number, RenderBudget& budget) {
  if (std::fabs(number) < 0x1p63) {
    return Value::Integer(static_cast<int64_t>(number));
  }
  return budget.Fail("a whole number beyond 64 bits");
}

Value Int(const Call& call) {
  const Value& value = call.value;
  if (value.is_undefined()) return FailUndefined(value, call.budget);
  const int64_t base = call.WholeAt(1, 10);
  if (base != 0 && (base < 2 || base > 36)) {
    return call.budget.Fail("'base' must be 0 or between 2 and 36");
  }
  if (value.is_whole()) return Value::Integer(value.whole());
  if (value.is_text()) {
    call.budget.StepBytes(value.text().size());
    const std::optional<std::string> digits = NumberText(value.text().bytes());
    const std::optional<int64_t> whole =
        digits.has_value() ? ReadWhole(*digits, base) : std::nullopt;
    if (whole.has_value()) return Value::Integer(*whole);
  }
  const std::optional<double> number = FloatOf(value);
  if (number.has_value() && std::isfinite(*number))
    return WholeOf(*number, call.budget);
  return call.Has(0) ? *call.bound[0] : Value::Integer(0);
}

Value Float(const Call& call) {
  if (call.value.is_undefined()) return FailUndefined(call.value, call.budget);
  if (call.value.is_text()) call.budget.StepBytes(call.value.text().size());
  const std::optional<double> number = FloatOf(call.value);
  if (number.has_value()) return Value::Float(*number);
  return call.Has(0) ? *call.bound[0] : Value::Float(0);
}

// `number` to `digits` places behind the point, halves of what the number
// really is to the even neighbour.
double RoundFloat(double number, int64_t digits) {
  if (!std::isfinite(number)) return number;
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(number / unit) * unit;
  }
  double rounded = number;
  const std::string text =
      absl::StrFormat("%.*f", static_cast<int>(digits), number);
  return absl::SimpleAtod(text, &rounded) ? rounded : number;
}

Value Round(const Call& call) {
  const Value& value = call.value;
  if (value.is_undefined()) return FailUndefined(value, call.budget);
  if (!value.is_number()) return FailForNumber(call);
  const int64_t digits =
      std::clamp(call.WholeAt(0, 0), -kRoundDigitsMax, kRoundDigitsMax);
  const bool has_method = call.Has(1) && call.bound[1]->is_text();
  const std::string method = has_method ? call.TextAt(1).bytes() : "common";
  const double unit = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") {
    return Value::Float(std::ceil(value.number() * unit) / unit);
  }
  if (method == "floor") {
    return Value::Float(std::floor(value.number() * unit) / unit);
  }
  if (method != "common") {
    return call.budget.Fail("'method' must be 'common', 'ceil' or 'floor'");
  }
  // A digit takes some 10 ns.
  call.budget.StepCharacters(static_cast<size_t>(std::abs(digits)));
  if (value.is_whole() && digits >= 0) {
    return Value::Integer(value.whole());
  }
  const double rounded = RoundFloat(value.number(), digits);
  return value.is_float() ? Value::Float(rounded)
                          : WholeOf(rounded, call.budget);
}

Value String(const Call& call) {
  if (call.value.is_text()) return call.value;
  return call.budget.NewText(TextOf(call.value, call.budget));
}

Value ToJson(const Call& call) {
  JsonOptions options;
  options.ensure_ascii = call.IsTrueAt(0);
  options.sort_keys = call.IsTrueAt(3);
  if (call.Has(1)) {
    options.has_indent = true;
    options.item_separator = MarkedText(",", TextMark::kTemplate);
    options.indent = IndentAt(call, 1, 0);
  }
  if (call.Has(2)) {
    const Value& separators = *call.bound[2];
    if (!IsIndexable(separators) || separators.items().size() != 2 ||
        !separators.items()[0].is_text() || !separators.items()[1].is_text()) {
      return call.budget.Fail("separators must be two texts");
    }
    options.item_separator = separators.items()[0].text();
    options.key_separator = separators.items()[1].text();
  }
  return call.budget.NewText(JsonOf(call.value, options, call.budget));
}

// `safe` changes nothing: nothing is escaped here, so nothing needs to be kept
// from it.
constexpr Builtin kValueFilters[] = {
    {"abs", {}, 0, &Abs},
    {"attr", {"name"}, 1, &Attr},
    {"d", {"default_value", "boolean"}, 0, &Default},
    {"default", {"default_value", "boolean"}, 0, &Default},
    {"float", {"default"}, 0, &Float},
    {"int", {"default", "#base"}, 0, &Int},
    {"round", {"#precision", "method"}, 0, &Round},
    {"safe", {}, 0, &String},
    {"string", {}, 0, &String},
    {"tojson",
     {"ensure_ascii", "?indent", "?separators", "sort_keys"},
     0,
     &ToJson},
};

// Tests.

template <bool (*is_so)(const Value& value)>
Value Is(const Call& call) {
  return Value::Bool(is_so(call.value));
}

template <Kind kind>
Value IsOf(const Call& call) {
  return Value::Bool(call.value.kind() == kind);
}

template <bool truth>
bool IsBool(const Value& value) {
  return value.kind() == Kind::kBool && (value.whole() != 0) == truth;
}
bool IsDefined(const Value& value) { return !value.is_undefined(); }
bool IsNumber(const Value& value) { return value.is_number(); }
// An undefined value may be iterated over, asked for its length, and called,
// which then fails.
bool IsSequence(const Value& value) {
  return value.is_undefined() || value.is_text() || value.is_map() ||
         IsIndexable(value);
}
bool IsIterable(const Value& value) {
  return value.is_list() || IsSequence(value);
}
bool IsCallable(const Value& value) {
  return value.is_undefined() ||
         (value.is_object() && ObjectOf(value)->is_callable());
}
bool IsEscaped(const Value& /*value*/) { return false; }
template <BuiltinKind kind>
bool IsNameOf(const Value& value) {
  return value.is_text() && FindBuiltin(kind, value.text().bytes()) != nullptr;
}

template <Comparison comparison>
Value Compares(const Call& call) {
  const bool holds =
      Compare(comparison, call.value, *call.bound[0], call.budget);
  return Value::Bool(holds);
}

Value IsSameAs(const Call& call) {
  if (call.value.is_text()) call.budget.StepBytes(call.value.text().size());
  return Value::Bool(IsSame(call.value, *call.bound[0]));
}

// value % divisor == rest
Value HasRest(const Call& call, const Value& divisor, int64_t rest) {
  if (call.value.is_text()) return FailForNumber(call);
  const Value remainder =
      Calculate(BinaryOperator::kModulo, call.value, divisor, call.budget);
  return Value::Bool(Equals(remainder, Value::Integer(rest), call.budget));
}

template <int64_t rest>
Value HalvesWithRest(const Call& call) {
  return HasRest(call, Value::Integer(2), rest);
}

Value IsDivisible(const Call& call) { return HasRest(call, *call.bound[0], 0); }

constexpr Builtin kTests[] = {
    {"boolean", {}, 0, &IsOf<Kind::kBool>},
    {"callable", {}, 0, &Is<IsCallable>},
    {"defined", {}, 0, &Is<IsDefined>},
    {"divisibleby", {"num"}, 1, &IsDivisible},
    {"eq", {"/other"}, 1, &Compares<Comparison::kEqual>},
    {"==", {"/other"}, 1, &Compares<Comparison::kEqual>},
    {"equalto", {"/other"}, 1, &Compares<Comparison::kEqual>},
    {"escaped", {}, 0, &Is<IsEscaped>},
    {"even", {}, 0, &HalvesWithRest<0>},
    {"false", {}, 0, &Is<IsBool<false>>},
    {"filter", {}, 0, &Is<IsNameOf<BuiltinKind::kFilter>>},
    {"float", {}, 0, &IsOf<Kind::kFloat>},
    {"ge", {"/other"}, 1, &Compares<Comparison::kGreaterOrEqual>},
    {">=", {"/other"}, 1, &Compares<Comparison::kGreaterOrEqual>},
    {"gt", {"/other"}, 1, &Compares<Comparison::kGreater>},
    {">", {"/other"}, 1, &Compares<Comparison::kGreater>},
    {"greaterthan", {"/other"}, 1, &Compares<Comparison::kGreater>},
    {"in", {"/other"}, 1, &Compares<Comparison::kIn>},
    {"integer", {}, 0, &IsOf<Kind::kInteger>},
    {"iterable", {}, 0, &Is<IsIterable>},
    {"le", {"/other"}, 1, &Compares<Comparison::kLessOrEqual>},
    {"<=", {"/other"}, 1, &Compares<Comparison::kLessOrEqual>},
    {"lessthan", {"/other"}, 1, &Compares<Comparison::kLess>},
    {"lower", {}, 0, &AreInCase<IsLower>, true},
    {"lt", {"/other"}, 1, &Compares<Comparison::kLess>},
    {"<", {"/other"}, 1, &Compares<Comparison::kLess>},
    {"mapping", {}, 0, &IsOf<Kind::kMap>},
    {"ne", {"/other"}, 1, &Compares<Comparison::kNotEqual>},
    {"!=", {"/other"}, 1, &Compares<Comparison::kNotEqual>},
    {"none", {}, 0, &IsOf<Kind::kNone>},
    {"number", {}, 0, &Is<IsNumber>},
    {"odd", {}, 0, &HalvesWithRest<1>},
    {"sameas", {"other"}, 1, &IsSameAs},
    {"sequence", {}, 0, &Is<IsSequence>},
    {"string", {}, 0, &IsOf<Kind::kText>},
    {"test", {}, 0, &Is<IsNameOf<BuiltinKind::kTest>>},
    {"true", {}, 0, &Is<IsBool<true>>},
    {"undefined", {}, 0, &IsOf<Kind::kUndefined>},
    {"upper", {}, 0, &AreInCase<IsUpper>, true},
};

std::array<absl::Span<const Builtin>, 3> TablesOf(BuiltinKind kind) {
  if (kind == BuiltinKind::kTest) return {absl::MakeConstSpan(kTests)};
  return {absl::MakeConstSpan(kValueFilters), TextFilters(), ListFilters()};
}

const Builtin* FindIn(absl::Span<const Builtin> table, absl::string_view name) {
  for (const Builtin& builtin : table) {
    if (builtin.name == name) return &builtin;
  }
  return nullptr;
}

}  // namespace

Value CallBuiltin(const Builtin& builtin, const Value& value,
                  const CallArguments& arguments, RenderBudget& budget) {
  if (builtin.is_of_text && !value.is_text()) {
    const Value text = budget.NewText(TextOf(value, budget));
    if (!budget.ok()) return {};
    return CallBuiltin(builtin, text, arguments, budget);
  }
  BuiltinCall call = {
      .value = value, .arguments = arguments, .budget = budget, .bound = {}};
  if (builtin.parameters[0] != kAnyArguments) {
    call.bound =
        BindArguments(arguments, builtin.parameters, builtin.required, budget);
  }
  return budget.ok() ? builtin.function(call) : Value();
}

const Builtin* FindBuiltin(BuiltinKind kind, absl::string_view name) {
  for (const absl::Span<const Builtin> table : TablesOf(kind)) {
    if (const Builtin* found = FindIn(table, name)) return found;
  }
  return nullptr;
}

std::vector<absl::string_view> BuiltinNames(BuiltinKind kind) {
  std::vector<absl::string_view> names;
  for (const absl::Span<const Builtin> table : TablesOf(kind)) {
    for (const Builtin& builtin : table) names.push_back(builtin.name);
  }
  return names;
}

std::string NoBuiltinMessage(BuiltinKind kind, absl::string_view name) {
  return UnknownNameMessage(kind == BuiltinKind::kTest ? "test" : "filter",
                            name, BuiltinNames(kind));
}

const Builtin* FindMethod(const Value& value, absl::string_view name) {
  if (value.is_text()) return FindIn(TextMethods(), name);
  if (value.is_map()) return FindIn(MapMethods(), name);
  return IsIndexable(value) ? FindIn(ListMethods(), name) : nullptr;
}

bool IsRefusedFilter(absl::string_view name) {
  return absl::c_linear_search(kRefused, name);
}

bool IsChangingMethod(const Value& value, absl::string_view name) {
  if (value.is_map()) return absl::c_linear_search(kChangingMapMethods, name);
  return value.is_list(ListKind::kList) &&
         absl::c_linear_search(kChangingListMethods, name);
}

MarkedText IndentAt(const BuiltinCall& call, size_t i, int64_t absent) {
  if (call.Has(i) && call.bound[i]->is_text()) return call.TextAt(i);
  const int64_t width =
      call.Has(i) ? NeedWhole(*call.bound[i], call.budget) : absent;
  const auto count = static_cast<size_t>(std::max<int64_t>(width, 0));
  if (!call.budget.CheckRoom(count)) return {};
  return MarkedText(std::string(count, ' '), TextMark::kTemplate);
}

Value JoinTexts(const MarkedText& separator, const std::vector<Value>& items,
                RenderBudget& budget) {
  MarkedText joined;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!NeedText(items[i], budget)) return {};
    if (i > 0) budget.Append(separator, &joined);
    budget.Append(items[i].text(), &joined);
  }
  return budget.NewText(std::move(joined));
}

}  // namespace tandem
