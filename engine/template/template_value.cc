#include "engine/template/template_value.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// From this size on a map has an index of its text keys.
constexpr size_t kIndexedEntriesMin = 16;

int DepthOf(absl::Span<const TemplateValue> items) {
  int depth = 0;
  for (const TemplateValue& item : items) depth = std::max(depth, item.depth());
  return depth + 1;
}

}  // namespace

struct TemplateValue::TextNode {
  MarkedText text;
  MemoryCharge charge;
};

struct TemplateValue::ListNode {
  std::vector<TemplateValue> items;
  ListKind kind = ListKind::kList;
  int depth = 1;
  bool is_key = false;
  RangeBounds range = {};
  MemoryCharge charge;
  // Items of a generator that are used up.
  mutable size_t taken = 0;
};

struct TemplateValue::MapNode {
  std::vector<Entry> entries;
  // Keys point into the texts of `entries`.
  absl::flat_hash_map<absl::string_view, size_t> index;
  int depth = 1;
  MemoryCharge charge;
};

TemplateValue TemplateValue::Undefined(std::string what) {
  TemplateValue value;
  value.value_ = UndefinedValue{
      .reason = std::make_shared<const std::string>(std::move(what))};
  return value;
}

TemplateValue TemplateValue::None() {
  TemplateValue value;
  value.value_ = std::monostate();
  return value;
}

TemplateValue TemplateValue::Bool(bool truth) {
  TemplateValue value;
  value.value_ = truth;
  return value;
}

TemplateValue TemplateValue::Integer(int64_t number) {
  TemplateValue value;
  value.value_ = number;
  return value;
}

TemplateValue TemplateValue::Float(double number) {
  TemplateValue value;
  value.value_ = number;
  return value;
}

TemplateValue TemplateValue::Text(absl::string_view text) {
  return Text(MarkedText(text, TextMark::kTemplate), MemoryCharge());
}

TemplateValue TemplateValue::Content(absl::string_view text) {
  return Text(MarkedText(text, TextMark::kContent), MemoryCharge());
}

TemplateValue TemplateValue::List(std::vector<TemplateValue> items) {
  return List(ListKind::kList, std::move(items), MemoryCharge());
}

TemplateValue TemplateValue::Tuple(std::vector<TemplateValue> items) {
  return List(ListKind::kTuple, std::move(items), MemoryCharge());
}

TemplateValue TemplateValue::Map(
    std::vector<std::pair<std::string, TemplateValue>> items) {
  std::vector<Entry> entries;
  absl::flat_hash_map<std::string, size_t> places;
  for (auto& [key, item] : items) {
    const auto [place, is_new] = places.emplace(key, entries.size());
    if (is_new) {
      entries.emplace_back(Content(key), std::move(item));
    } else {
      entries[place->second].second = std::move(item);
    }
  }
  return Map(std::move(entries), MemoryCharge());
}

TemplateValue TemplateValue::Text(MarkedText text, MemoryCharge charge) {
  TemplateValue value;
  value.value_ = std::make_shared<const TextNode>(
      TextNode{.text = std::move(text), .charge = std::move(charge)});
  return value;
}

TemplateValue TemplateValue::List(ListKind kind,
                                  std::vector<TemplateValue> items,
                                  MemoryCharge charge) {
  TemplateValue value;
  const int depth = DepthOf(items);
  const bool is_key =
      (kind == ListKind::kTuple || kind == ListKind::kGroup) &&
      std::all_of(items.begin(), items.end(),
                  [](const TemplateValue& item) { return item.is_key(); });
  value.value_ =
      std::make_shared<const ListNode>(ListNode{.items = std::move(items),
                                                .kind = kind,
                                                .depth = depth,
                                                .is_key = is_key,
                                                .charge = std::move(charge)});
  return value;
}

TemplateValue TemplateValue::Range(const RangeBounds& bounds,
                                   std::vector<TemplateValue> items,
                                   MemoryCharge charge) {
  TemplateValue value;
  value.value_ =
      std::make_shared<const ListNode>(ListNode{.items = std::move(items),
                                                .kind = ListKind::kRange,
                                                .is_key = true,
                                                .range = bounds,
                                                .charge = std::move(charge)});
  return value;
}

TemplateValue TemplateValue::Map(std::vector<Entry> entries,
                                 MemoryCharge charge) {
  int depth = 0;
  absl::flat_hash_map<absl::string_view, size_t> index;
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto& [key, item] = entries[i];
    depth = std::max({depth, key.depth(), item.depth()});
    if (entries.size() >= kIndexedEntriesMin && key.is_text()) {
      index.emplace(key.text().bytes(), i);
    }
  }
  TemplateValue value;
  value.value_ =
      std::make_shared<const MapNode>(MapNode{.entries = std::move(entries),
                                              .index = std::move(index),
                                              .depth = depth + 1,
                                              .charge = std::move(charge)});
  return value;
}

TemplateValue TemplateValue::Object(TemplateObject* object) {
  TemplateValue value;
  value.value_ = object;
  return value;
}

bool TemplateValue::is_list(ListKind kind) const {
  return is_list() && list_kind() == kind;
}

bool TemplateValue::is_indexable() const {
  return is_list() &&
         (list_kind() == ListKind::kList || list_kind() == ListKind::kTuple ||
          list_kind() == ListKind::kRange);
}

TemplateValue::ListKind TemplateValue::list_kind() const {
  const ListKind kind = std::get<std::shared_ptr<const ListNode>>(value_)->kind;
  return kind == ListKind::kGroup ? ListKind::kTuple : kind;
}

bool TemplateValue::is_group() const {
  return is_list() && std::get<std::shared_ptr<const ListNode>>(value_)->kind ==
                          ListKind::kGroup;
}

const RangeBounds& TemplateValue::range() const {
  return std::get<std::shared_ptr<const ListNode>>(value_)->range;
}

void TemplateValue::TakeItems(size_t count) const {
  const ListNode& list = *std::get<std::shared_ptr<const ListNode>>(value_);
  if (list.kind != ListKind::kGenerator) return;
  list.taken = std::min(list.taken + count, list.items.size());
}

const MarkedText& TemplateValue::text() const {
  return std::get<std::shared_ptr<const TextNode>>(value_)->text;
}

absl::Span<const TemplateValue> TemplateValue::items() const {
  const ListNode& list = *std::get<std::shared_ptr<const ListNode>>(value_);
  return absl::MakeConstSpan(list.items).subspan(list.taken);
}

absl::Span<const TemplateValue::Entry> TemplateValue::entries() const {
  return std::get<std::shared_ptr<const MapNode>>(value_)->entries;
}

absl::string_view TemplateValue::undefined_reason() const {
  const UndefinedValue& undefined = std::get<UndefinedValue>(value_);
  return undefined.reason == nullptr ? absl::string_view() : *undefined.reason;
}

int64_t TemplateValue::whole() const {
  return is_bool() ? static_cast<int64_t>(truth_value()) : integer();
}

double TemplateValue::number() const {
  return is_float() ? float_value() : static_cast<double>(whole());
}

const TemplateValue* TemplateValue::Find(absl::string_view key) const {
  const MapNode& map = *std::get<std::shared_ptr<const MapNode>>(value_);
  if (map.entries.size() >= kIndexedEntriesMin) {
    const auto found = map.index.find(key);
    return found == map.index.end() ? nullptr
                                    : &map.entries[found->second].second;
  }
  for (const auto& [entry_key, item] : map.entries) {
    if (entry_key.is_text() && entry_key.text().bytes() == key) return &item;
  }
  return nullptr;
}

int TemplateValue::depth() const {
  if (is_list()) {
    return std::get<std::shared_ptr<const ListNode>>(value_)->depth;
  }
  if (is_map()) return std::get<std::shared_ptr<const MapNode>>(value_)->depth;
  return 0;
}

bool TemplateValue::is_key() const {
  if (is_list()) {
    return std::get<std::shared_ptr<const ListNode>>(value_)->is_key;
  }
  return !is_map();
}

bool TemplateValue::IsSame(const TemplateValue& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kBool:
      return truth_value() == other.truth_value();
    case Kind::kInteger:
      return integer() == other.integer();
    case Kind::kFloat:
      return float_value() == other.float_value();
    case Kind::kText:
      return text().bytes() == other.text().bytes();
    case Kind::kList:
      return std::get<std::shared_ptr<const ListNode>>(value_) ==
             std::get<std::shared_ptr<const ListNode>>(other.value_);
    case Kind::kMap:
      return std::get<std::shared_ptr<const MapNode>>(value_) ==
             std::get<std::shared_ptr<const MapNode>>(other.value_);
    case Kind::kObject:
      return object() == other.object();
  }
  return false;
}

}  // namespace tandem
