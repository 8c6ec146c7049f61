#include "engine/template/template_value.h"

#include <algorithm>

namespace tandem {
namespace {

using TextPtr = std::shared_ptr<const TemplateValue::TextNode>;
using ListPtr = std::shared_ptr<const TemplateValue::ListNode>;
using MapPtr = std::shared_ptr<const TemplateValue::MapNode>;

// From this size on a map has an index of its text keys.
constexpr size_t kIndexedEntriesMin = 16;

}  // namespace

TemplateValue NewValue(TemplateValue::TextNode text) {
  return TemplateValue(
      std::make_shared<const TemplateValue::TextNode>(std::move(text)));
}

TemplateValue NewValue(TemplateValue::ListNode list) {
  list.is_key = list.kind == TemplateValue::ListKind::kTuple ||
                list.kind == TemplateValue::ListKind::kRange;
  int depth = 0;
  for (const TemplateValue& item : list.items) {
    depth = std::max(depth, DepthOf(item));
    list.is_key = list.is_key && IsKey(item);
  }
  list.depth = depth + 1;
  return TemplateValue(
      std::make_shared<const TemplateValue::ListNode>(std::move(list)));
}

TemplateValue NewValue(TemplateValue::MapNode map) {
  int depth = 0;
  for (size_t i = 0; i < map.entries.size(); ++i) {
    const auto& [key, item] = map.entries[i];
    depth = std::max({depth, DepthOf(key), DepthOf(item)});
    if (map.entries.size() >= kIndexedEntriesMin && key.is_text()) {
      map.index.emplace(key.text().bytes(), i);
    }
  }
  map.depth = depth + 1;
  return TemplateValue(
      std::make_shared<const TemplateValue::MapNode>(std::move(map)));
}

TemplateValue TemplateValue::Undefined(std::string what) {
  return TemplateValue(UndefinedValue{
      .reason = std::make_shared<const std::string>(std::move(what))});
}

TemplateValue TemplateValue::Text(absl::string_view text) {
  return NewValue(TextNode{.text = {text, TextMark::kTemplate}});
}

TemplateValue TemplateValue::Content(absl::string_view text) {
  return NewValue(TextNode{.text = {text, TextMark::kContent}});
}

TemplateValue TemplateValue::List(std::vector<TemplateValue> items) {
  return NewValue(ListNode{.items = std::move(items)});
}

TemplateValue TemplateValue::Map(
    std::vector<std::pair<std::string, TemplateValue>> items) {
  MapNode map;
  absl::flat_hash_map<std::string, size_t> places;
  for (auto& [key, item] : items) {
    const auto [place, is_new] = places.emplace(key, map.entries.size());
    if (is_new) {
      map.entries.emplace_back(Content(key), std::move(item));
    } else {
      map.entries[place->second].second = std::move(item);
    }
  }
  return NewValue(std::move(map));
}

bool TemplateValue::is_list(ListKind list_kind) const {
  return is_list() && list().kind == list_kind;
}

int64_t TemplateValue::whole() const {
  const bool* truth = std::get_if<bool>(&data_);
  return truth != nullptr ? int64_t{*truth} : std::get<int64_t>(data_);
}

double TemplateValue::number() const {
  const double* number = std::get_if<double>(&data_);
  return number != nullptr ? *number : static_cast<double>(whole());
}

const MarkedText& TemplateValue::text() const {
  return std::get<TextPtr>(data_)->text;
}

absl::Span<const TemplateValue> TemplateValue::items() const {
  return absl::MakeConstSpan(list().items).subspan(list().taken);
}

absl::Span<const TemplateValue::Entry> TemplateValue::entries() const {
  return std::get<MapPtr>(data_)->entries;
}

const TemplateValue* TemplateValue::Find(absl::string_view key) const {
  const MapNode& map = *std::get<MapPtr>(data_);
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

bool IsIndexable(const TemplateValue& value) {
  using ListKind = TemplateValue::ListKind;
  return value.is_list(ListKind::kList) || value.is_list(ListKind::kTuple) ||
         value.is_list(ListKind::kRange);
}

int DepthOf(const TemplateValue& value) {
  if (value.is_list()) return value.list().depth;
  const auto* map = std::get_if<MapPtr>(&value.data());
  return map != nullptr ? (*map)->depth : 0;
}

bool IsKey(const TemplateValue& value) {
  return value.is_list() ? value.list().is_key : !value.is_map();
}

bool IsSame(const TemplateValue& left, const TemplateValue& right) {
  if (left.kind() != right.kind()) return false;
  if (left.is_undefined()) return true;
  if (left.is_text()) return left.text().bytes() == right.text().bytes();
  return std::visit(
      [&right](const auto& value) {
        using Type = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Type, TemplateValue::UndefinedValue>) {
          return true;
        } else {
          return value == std::get<Type>(right.data());
        }
      },
      left.data());
}

}  // namespace tandem
