#include "engine/grammar/json/json_value.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {
namespace {

// What an error shows of a pointer.
constexpr size_t kPointerBytesMax = 200;

// Takes what nlohmann's parser reads. Values are complete once their parents
// move them in, so nothing points to them before the end.
class TreeMaker : public nlohmann::json::json_sax_t {
 public:
  std::unique_ptr<JsonValue> TakeRoot() { return std::move(root_); }
  const absl::Status& status() const { return status_; }

  bool null() override { return Add({}); }
  bool boolean(bool value) override {
    return Add({.kind = JsonValue::Kind::kBoolean, .boolean = value});
  }
  bool number_integer(int64_t value) override {
    return AddNumber(absl::StrCat(value));
  }
  bool number_unsigned(uint64_t value) override {
    return AddNumber(absl::StrCat(value));
  }
  bool number_float(double /*value*/, const std::string& text) override {
    return AddNumber(text);
  }
  bool string(std::string& value) override {
    return Add({.kind = JsonValue::Kind::kString, .text = value});
  }
  bool binary(nlohmann::json::binary_t& /*value*/) override { return false; }
  bool start_object(size_t /*size*/) override {
    return Open({.kind = JsonValue::Kind::kObject});
  }
  bool key(std::string& name) override {
    open_.back().names.push_back(name);
    return true;
  }
  bool end_object() override {
    absl::flat_hash_set<absl::string_view> names;
    for (const std::string& name : open_.back().names) {
      if (names.insert(name).second) continue;
      status_ = InvalidGrammar(
          absl::StrCat("the member \"", name, "\" is there twice"));
      return false;
    }
    return Close();
  }
  bool start_array(size_t /*size*/) override {
    return Open({.kind = JsonValue::Kind::kArray});
  }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string& /*last*/,
                   const nlohmann::detail::exception& /*error*/) override {
    status_ = InvalidGrammar(absl::StrCat("is no JSON: byte ", position));
    return false;
  }

 private:
  bool AddNumber(std::string text) {
    return Add({.kind = JsonValue::Kind::kNumber, .text = std::move(text)});
  }
  bool Add(JsonValue value) {
    if (open_.empty()) {
      root_ = std::make_unique<JsonValue>(std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }
  bool Open(JsonValue value) {
    open_.push_back(std::move(value));
    if (open_.size() <= static_cast<size_t>(kGrammarDepthMax)) return true;
    status_ = InvalidGrammar(
        absl::StrCat("is nested deeper than ", kGrammarDepthMax));
    return false;
  }
  bool Close() {
    JsonValue value = std::move(open_.back());
    open_.pop_back();
    return Add(std::move(value));
  }

  std::vector<JsonValue> open_;
  std::unique_ptr<JsonValue> root_;
  absl::Status status_;
};

// `text` without its middle where it is long.
std::string Cut(std::string text) {
  if (text.size() <= kPointerBytesMax) return text;
  const size_t half = kPointerBytesMax / 2;
  return absl::StrCat(text.substr(0, half), "...",
                      text.substr(text.size() - half));
}

void SetParents(JsonValue* value) {
  for (JsonValue& item : value->items) {
    item.parent = value;
    SetParents(&item);
  }
}

}  // namespace

const JsonValue* JsonValue::Find(absl::string_view name) const {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? nullptr : &items[found - names.begin()];
}

absl::StatusOr<std::unique_ptr<JsonValue>> ParseJson(absl::string_view text) {
  if (text.size() > kGrammarSourceBytesMax) {
    return InvalidGrammar(absl::StrCat(
        "has ", text.size(), " bytes, more than ", kGrammarSourceBytesMax));
  }
  TreeMaker maker;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &maker)) {
    return maker.status();
  }
  std::unique_ptr<JsonValue> root = maker.TakeRoot();
  SetParents(root.get());
  return root;
}

std::string PointerOf(const JsonValue& value) {
  std::vector<std::string> steps;
  for (const JsonValue* at = &value; at->parent != nullptr; at = at->parent) {
    const size_t index = at - at->parent->items.data();
    steps.push_back(at->parent->IsObject()
                        ? absl::StrReplaceAll(Cut(at->parent->names[index]),
                                              {{"~", "~0"}, {"/", "~1"}})
                        : absl::StrCat(index));
  }
  std::string pointer;
  for (size_t i = steps.size(); i-- > 0;) {
    absl::StrAppend(&pointer, "/", steps[i]);
  }
  return Cut(std::move(pointer));
}

const JsonValue* FindByPointer(const JsonValue& root,
                               absl::string_view pointer) {
  const JsonValue* value = &root;
  if (pointer.empty()) return value;
  if (!absl::ConsumePrefix(&pointer, "/")) return nullptr;
  for (const absl::string_view step : absl::StrSplit(pointer, '/')) {
    const std::string name =
        absl::StrReplaceAll(step, {{"~1", "/"}, {"~0", "~"}});
    size_t index = 0;
    if (value->IsObject()) {
      value = value->Find(name);
    } else if (value->IsArray() && absl::SimpleAtoi(name, &index) &&
               index < value->items.size()) {
      value = &value->items[index];
    } else {
      return nullptr;
    }
    if (value == nullptr) return nullptr;
  }
  return value;
}

absl::Status SchemaError(const JsonValue& where, absl::string_view what) {
  const std::string pointer = PointerOf(where);
  return InvalidGrammar(
      absl::StrCat(pointer.empty() ? "#" : pointer, ": ", what));
}

}  // namespace tandem
