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

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/marked_text.h"

namespace tandem {

class TemplateObject;

// Bytes taken from an account for as long as this lives; none by default.
class MemoryCharge {
 public:
  MemoryCharge() = default;
  MemoryCharge(size_t* account, size_t bytes)
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
  size_t* account_ = nullptr;
  size_t bytes_ = 0;
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
  };
  using Entry = std::pair<TemplateValue, TemplateValue>;

  struct UndefinedValue {
    std::shared_ptr<const std::string> reason;  // for errors; may be null
  };
  struct TextNode;
  struct ListNode;
  struct MapNode;
  // In the order of Kind.
  using Data = std::variant<UndefinedValue, std::monostate, bool, int64_t,
                            double, std::shared_ptr<const TextNode>,
                            std::shared_ptr<const ListNode>,
                            std::shared_ptr<const MapNode>, TemplateObject*>;

  TemplateValue() = default;  // undefined
  // An object outlives the value.
  explicit TemplateValue(Data data) : data_(std::move(data)) {}
  // Undefined; `what` says why, in errors.
  static TemplateValue Undefined(std::string what);
  static TemplateValue None() { return TemplateValue(std::monostate()); }
  static TemplateValue Bool(bool value) { return TemplateValue(Data(value)); }
  static TemplateValue Integer(int64_t value) {
    return TemplateValue(Data(value));
  }
  static TemplateValue Float(double value) {
    return TemplateValue(Data(value));
  }
  // The template's own or trusted text, e.g. bos_token.
  static TemplateValue Text(absl::string_view text);
  // Marked as content: the marks survive whatever a template does to it.
  static TemplateValue Content(absl::string_view text);
  static TemplateValue List(std::vector<TemplateValue> items);
  // In the order given; of equal keys the first place and the last value stay.
  static TemplateValue Map(
      std::vector<std::pair<std::string, TemplateValue>> items);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  const Data& data() const { return data_; }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_float() const { return kind() == Kind::kFloat; }
  bool is_text() const { return kind() == Kind::kText; }
  bool is_list() const { return kind() == Kind::kList; }  // any ListKind
  bool is_list(ListKind list_kind) const;
  bool is_map() const { return kind() == Kind::kMap; }
  bool is_object() const { return kind() == Kind::kObject; }
  // A truth value counts as 0 or 1, as in Python.
  bool is_whole() const {
    return kind() == Kind::kBool || kind() == Kind::kInteger;
  }
  bool is_number() const { return is_whole() || is_float(); }

  // Each only for a value of its kind.
  int64_t whole() const;
  double number() const;  // also of whole numbers
  const MarkedText& text() const;
  const ListNode& list() const {
    return *std::get<std::shared_ptr<const ListNode>>(data_);
  }
  // What is left of a generator; all that is in other lists.
  absl::Span<const TemplateValue> items() const;
  absl::Span<const Entry> entries() const;  // of a map
  // The value of a text key in a map; null where there is none.
  const TemplateValue* Find(absl::string_view key) const;

 private:
  Data data_;
};

// What values share. `charge` is what a render takes for it (render_budget.h).
struct TemplateValue::TextNode {
  MarkedText text;
  MemoryCharge charge = {};
};

struct TemplateValue::ListNode {
  ListKind kind = ListKind::kList;
  std::vector<TemplateValue> items;
  MemoryCharge charge = {};
  RangeBounds range = {};  // of a range
  // A tuple of a name and a list, as groupby gives: the two have names.
  bool is_group = false;
  // Set by NewValue: levels of lists and maps; whether a map may have it as a
  // key.
  int depth = 1;
  bool is_key = false;
  // Items of a generator that are used up.
  mutable size_t taken = 0;
};

struct TemplateValue::MapNode {
  // With distinct keys that are no lists or maps, nor tuples that hold some.
  std::vector<Entry> entries;
  MemoryCharge charge = {};
  // Set by NewValue. Keys point into the texts of `entries`.
  absl::flat_hash_map<absl::string_view, size_t> index = {};
  int depth = 1;
};

TemplateValue NewValue(TemplateValue::TextNode text);
TemplateValue NewValue(TemplateValue::ListNode list);
TemplateValue NewValue(TemplateValue::MapNode map);

inline TemplateObject* ObjectOf(const TemplateValue& value) {
  return std::get<TemplateObject*>(value.data());
}
// Whether it is a list, tuple or range.
bool IsIndexable(const TemplateValue& value);
// Levels of lists and maps: 0 for a scalar, 1 for a list of scalars.
int DepthOf(const TemplateValue& value);
// Whether a map may have it as a key: no list or map is in it.
bool IsKey(const TemplateValue& value);
// As Python's `is`: the same list or map, an equal text or scalar.
bool IsSame(const TemplateValue& left, const TemplateValue& right);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEMPLATE_VALUE_H_
