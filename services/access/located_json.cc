#include "services/access/located_json.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using Sax = nlohmann::json_sax<nlohmann::json>;
using Kind = LocatedJson::Kind;

// The characters of a text for the library's lexer; counts the line ends that
// it has read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  // `line` outlives the iterator.
  CountingIterator(const char* at, int* line) : at_(at), line_(line) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    if (*at_ == '\n') ++*line_;
    ++at_;
    return *this;
  }
  friend bool operator!=(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ != b.at_;
  }

 private:
  const char* at_;
  int* line_;
};

// Builds the tree from the library's events; the first error ends the parse.
class TreeBuilder : public Sax {
 public:
  explicit TreeBuilder(absl::string_view text) : text_(text) {}

  absl::StatusOr<LocatedJson> Parse() {
    const char* const end = text_.data() + text_.size();
    const bool parsed = nlohmann::json::sax_parse(
        CountingIterator(text_.data(), &line_), CountingIterator(end, &line_),
        static_cast<Sax*>(this));
    if (!error_.ok()) return error_;
    // The library reports each error of its own.
    if (!parsed) return Fail(line_, "is not JSON");
    return std::move(root_);
  }

  bool null() override { return Add({.kind = Kind::kNull}); }
  bool boolean(bool) override { return Add({.kind = Kind::kBoolean}); }
  bool number_integer(int64_t value) override {
    return Add({.kind = Kind::kNumber,
                .number = static_cast<double>(value),
                .whole = value});
  }
  bool number_unsigned(uint64_t value) override {
    LocatedJson number = {.kind = Kind::kNumber,
                          .number = static_cast<double>(value)};
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    if (value <= kMax) number.whole = static_cast<int64_t>(value);
    return Add(std::move(number));
  }
  bool number_float(double value, const std::string&) override {
    return Add({.kind = Kind::kNumber, .number = value});
  }
  bool string(std::string& value) override {
    return Add({.kind = Kind::kString, .text = std::move(value)});
  }
  bool binary(nlohmann::json::binary_t&) override {
    return Stop(line_, "is not JSON");
  }
  bool start_object(size_t) override { return Open({.kind = Kind::kObject}); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open({.kind = Kind::kArray}); }
  bool end_array() override { return Close(); }

  bool key(std::string& name) override {
    std::vector<std::string>& names = open_.back()->names;
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return Stop(line_, "a name stands twice in one object; take one out");
    }
    if (names.size() >= kJsonNamesMax) {
      return Stop(line_, absl::StrCat("an object has more than ", kJsonNamesMax,
                                      " names"));
    }
    names.push_back(std::move(name));
    name_line_ = line_;
    return true;
  }

  // The library's message quotes the file, so it is not handed on.
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    const size_t end = std::min(position > 0 ? position - 1 : 0, text_.size());
    const absl::string_view before = text_.substr(0, end);
    const size_t line_end = before.rfind('\n');
    const size_t column =
        line_end == absl::string_view::npos ? end + 1 : end - line_end;
    const auto lines = std::count(before.begin(), before.end(), '\n');
    return Stop(static_cast<int>(lines) + 1,
                absl::StrCat("is not JSON near column ", column,
                             ": look at the commas, quotes and brackets"));
  }

 private:
  static absl::Status Fail(int line, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(line, ": ", what));
  }

  bool Stop(int line, absl::string_view what) {
    error_ = Fail(line, what);
    return false;
  }

  // Where the next value goes.
  LocatedJson* Place(LocatedJson value) {
    const bool is_member =
        !open_.empty() && open_.back()->kind == Kind::kObject;
    value.line = is_member ? name_line_ : line_;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    // Only the innermost open value grows, so the pointers in open_ stay good.
    open_.back()->children.push_back(std::move(value));
    return &open_.back()->children.back();
  }

  bool Add(LocatedJson value) {
    Place(std::move(value));
    return true;
  }

  bool Open(LocatedJson value) {
    if (open_.size() >= kJsonLevelsMax) {
      return Stop(line_, absl::StrCat("has more than ", kJsonLevelsMax,
                                      " arrays and objects within each other"));
    }
    open_.push_back(Place(std::move(value)));
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const absl::string_view text_;
  LocatedJson root_;
  std::vector<LocatedJson*> open_;  // the innermost last
  int line_ = 1;
  int name_line_ = 0;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<LocatedJson> ParseLocatedJson(absl::string_view text) {
  return TreeBuilder(text).Parse();
}

}  // namespace tandem
