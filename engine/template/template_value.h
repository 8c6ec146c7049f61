// A value of the template language. Values do not change and are cheap to copy
// (texts, lists and maps are shared), so they may be read by any thread. Two
// kinds stay within the render that makes them: generators, which reading uses
// up, and objects (macros, namespaces, loops), which are only pointed at.

#ifndef TANDEM_ENGINE_TEMPLATE_TEMPLATE_VALUE_H_
#define TANDEM_ENGINE_TEMPLATE_TEMPLATE_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/marked_text.h"

namespace tandem {

class TemplateObject;

// Bytes taken from an account for as long as this lives; none by default.
class MemoryCharge {
 public:
  MemoryCharge() = default;
  MemoryCharge(int64_t* account, int64_t bytes)
      : account_(account), bytes_(bytes) {
    *account_ += bytes_;
  }
  MemoryCharge(MemoryCharge&& other) noexcept
      : account_(std::exchange(other.account_, nullptr)),
        bytes_(other.bytes_) {}
  MemoryCharge& operator=(MemoryCharge&&) = delete;
  ~MemoryCharge() {
    if (account_ != nullptr) *account_ -= bytes_;
  }

 private:
  int64_t* account_ = nullptr;
  int64_t bytes_ = 0;
};

// What range() was given.
struct RangeBounds {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
};

class TemplateValue {
 public:
  enum class Kind {
    kUndefined,
    kNone,
    kBool,
    kInteger,
    kFloat,
    kText,
    kList,
    kMap,
    kObject,
  };
  // What of Python a value of kind kList stands for.
  enum class ListKind {
    kList,
    kTuple,
    kRange,
    kKeys,  // of a map, as kValues and kItems: no subscripts
    kValues,
    kItems,
    kGenerator,  // as filters give: no length, true, used up by reading
    kGroup,      // of groupby: a tuple whose items have names, too
  };
  using Entry = std::pair<TemplateValue, TemplateValue>;

  TemplateValue() = default;  // undefined
  // Undefined; `what` says why, in errors.
  static TemplateValue Undefined(std::string what);
  static TemplateValue None();
  static TemplateValue Bool(bool value);
  static TemplateValue Integer(int64_t value);
  static TemplateValue Float(double value);
  // The template's own or trusted text, e.g. bos_token.
  static TemplateValue Text(absl::string_view text);
  // Marked as content: the marks survive whatever a template does to it.
  static TemplateValue Content(absl::string_view text);
  static TemplateValue List(std::vector<TemplateValue> items);
  static TemplateValue Tuple(std::vector<TemplateValue> items);
  // In the order given; of equal keys the first place and the last value stay.
  static TemplateValue Map(
      std::vector<std::pair<std::string, TemplateValue>> items);

  // For a render, which bounds what its values take (render_budget.h).
  static TemplateValue Text(MarkedText text, MemoryCharge charge);
  static TemplateValue List(ListKind kind, std::vector<TemplateValue> items,
                            MemoryCharge charge);
  static TemplateValue Range(const RangeBounds& bounds,
                             std::vector<TemplateValue> items,
                             MemoryCharge charge);
  // `entries` have distinct keys that are text, numbers, truth values, none or
  // tuples of those.
  static TemplateValue Map(std::vector<Entry> entries, MemoryCharge charge);
  // `object` outlives the value.
  static TemplateValue Object(TemplateObject* object);

  Kind kind() const { return static_cast<Kind>(value_.index()); }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_integer() const { return kind() == Kind::kInteger; }
  bool is_float() const { return kind() == Kind::kFloat; }
  bool is_text() const { return kind() == Kind::kText; }
  bool is_list() const { return kind() == Kind::kList; }  // any ListKind
  bool is_map() const { return kind() == Kind::kMap; }
  bool is_object() const { return kind() == Kind::kObject; }
  // A group is a tuple.
  bool is_list(ListKind list_kind) const;
  // A list, tuple or range.
  bool is_indexable() const;
  // A truth value counts as 0 or 1, as in Python.
  bool is_whole() const { return is_bool() || is_integer(); }
  bool is_number() const { return is_whole() || is_float(); }

  // Each only for a value of its kind.
  bool truth_value() const { return std::get<bool>(value_); }
  int64_t integer() const { return std::get<int64_t>(value_); }
  double float_value() const { return std::get<double>(value_); }
  const MarkedText& text() const;
  ListKind list_kind() const;  // kTuple for a group
  bool is_group() const;
  const RangeBounds& range() const;               // of a range
  absl::Span<const TemplateValue> items() const;  // of a list
  absl::Span<const Entry> entries() const;        // of a map
  TemplateObject* object() const { return std::get<TemplateObject*>(value_); }
  // Why an undefined value is; may be empty.
  absl::string_view undefined_reason() const;

  int64_t whole() const;  // of a whole number
  double number() const;  // of a number

  // The value of a text key in a map; null where there is none.
  const TemplateValue* Find(absl::string_view key) const;

  // Uses up the first `count` items where this is a generator.
  void TakeItems(size_t count) const;

  // Levels of lists and maps: 0 for a scalar, 1 for a list of scalars.
  int depth() const;
  // Whether a map may have it as a key: no list or map is in it.
  bool is_key() const;
  // As Python's `is`: the same text, list or map, or an equal scalar.
  bool IsSame(const TemplateValue& other) const;

 private:
  struct UndefinedValue {
    std::shared_ptr<const std::string> reason;
  };
  struct TextNode;
  struct ListNode;
  struct MapNode;

  // In the order of Kind.
  std::variant<UndefinedValue, std::monostate, bool, int64_t, double,
               std::shared_ptr<const TextNode>, std::shared_ptr<const ListNode>,
               std::shared_ptr<const MapNode>, TemplateObject*>
      value_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEMPLATE_VALUE_H_
