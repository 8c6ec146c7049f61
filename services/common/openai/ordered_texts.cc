#include "services/common/openai/ordered_texts.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace tandem {
namespace {

using Json = nlohmann::json;
using Steps = std::vector<std::string>;
using Objects = absl::flat_hash_map<std::string, std::string>;

constexpr char kElement[] = "[]";

Steps StepsOf(absl::string_view path) {
  Steps steps;
  for (absl::string_view name : absl::StrSplit(path, '.')) {
    const bool is_list = absl::ConsumeSuffix(&name, kElement);
    steps.emplace_back(name);
    if (is_list) steps.emplace_back(kElement);
  }
  return steps;
}

// Writes a value on one line while it is read.
class ValueWriter {
 public:
  bool is_open() const { return depth_ > 0; }

  void Add(absl::string_view value) {
    Separate();
    absl::StrAppend(&text_, value);
  }
  void AddName(const std::string& name) {
    Separate();
    absl::StrAppend(&text_, Json(name).dump(), ":");
    needs_comma_ = false;
  }
  void Open(absl::string_view bracket) {
    Separate();
    absl::StrAppend(&text_, bracket);
    needs_comma_ = false;
    ++depth_;
  }
  void Close(absl::string_view bracket) {
    absl::StrAppend(&text_, bracket);
    needs_comma_ = true;
    --depth_;
  }
  // What was written, once it is closed.
  std::string Take() {
    needs_comma_ = false;
    return std::exchange(text_, std::string());
  }

 private:
  void Separate() {
    if (needs_comma_) text_.push_back(',');
    needs_comma_ = true;
  }

  std::string text_;
  size_t depth_ = 0;
  bool needs_comma_ = false;
};

// Finds the objects. Neither deep nesting nor many names cost more than the
// time to read them: only the way to objects that are wanted is kept.
class ObjectFinder : public nlohmann::json_sax<Json> {
 public:
  explicit ObjectFinder(const std::vector<Steps>* paths) {
    for (const Steps& steps : *paths) root_.wanted.push_back(&steps);
  }

  Objects TakeObjects() { return std::move(objects_); }

  bool null() override { return Scalar("null"); }
  bool boolean(bool value) override { return Scalar(value ? "true" : "false"); }
  bool number_integer(int64_t value) override {
    return Scalar(absl::StrCat(value));
  }
  bool number_unsigned(uint64_t value) override {
    return Scalar(absl::StrCat(value));
  }
  bool number_float(double /*value*/, const std::string& spelling) override {
    return Scalar(spelling);
  }
  bool string(std::string& value) override {
    return Scalar(writer_.is_open() ? Json(value).dump() : "");
  }
  bool binary(Json::binary_t& /*value*/) override { return false; }
  bool key(std::string& name) override {
    if (writer_.is_open()) {
      writer_.AddName(name);
    } else if (skipped_ == 0) {
      name_ = name;
    }
    return true;
  }
  bool start_object(size_t /*size*/) override {
    if (writer_.is_open() || skipped_ > 0) return Deeper("{");
    Level level = NextLevel();
    for (const Steps* steps : level.wanted) {
      if (steps->size() != levels_.size()) continue;
      written_path_ = std::move(level.path);
      return Deeper("{");
    }
    Enter(std::move(level));
    return true;
  }
  bool end_object() override { return Leave("}"); }
  bool start_array(size_t /*size*/) override {
    if (writer_.is_open() || skipped_ > 0) return Deeper("[");
    Level level = NextLevel();
    level.is_list = true;
    Enter(std::move(level));
    return true;
  }
  bool end_array() override { return Leave("]"); }
  bool parse_error(size_t /*position*/, const std::string& /*last*/,
                   const Json::exception& /*error*/) override {
    return false;
  }

 private:
  // A list or object on the way to objects that are wanted.
  struct Level {
    std::string path = {};
    std::vector<const Steps*> wanted = {};  // those that begin with `path`
    bool is_list = false;
    size_t index = 0;  // of its next value
  };

  // Whether `steps` go on by the value that comes now in `parent`.
  bool GoesOn(const Steps& steps, const Level& parent) const {
    const size_t at = levels_.size() - 1;
    if (at >= steps.size()) return false;
    const bool is_element = steps[at] == kElement;
    return is_element == parent.is_list && (is_element || steps[at] == name_);
  }
  // Of the value that comes now.
  Level NextLevel() {
    if (levels_.empty()) return root_;
    Level& parent = levels_.back();
    Level level;
    for (const Steps* steps : parent.wanted) {
      if (GoesOn(*steps, parent)) level.wanted.push_back(steps);
    }
    const size_t index = parent.index++;
    if (level.wanted.empty()) return level;
    level.path = parent.is_list ? absl::StrCat(parent.path, "[", index, "]")
                 : parent.path.empty() ? name_
                                       : absl::StrCat(parent.path, ".", name_);
    return level;
  }
  void Enter(Level level) {
    if (level.wanted.empty()) {
      ++skipped_;
    } else {
      levels_.push_back(std::move(level));
    }
  }
  bool Deeper(absl::string_view bracket) {
    if (skipped_ > 0) {
      ++skipped_;
    } else {
      writer_.Open(bracket);
    }
    return true;
  }
  bool Leave(absl::string_view bracket) {
    if (skipped_ > 0) {
      --skipped_;
    } else if (writer_.is_open()) {
      writer_.Close(bracket);
      if (!writer_.is_open()) objects_[written_path_] = writer_.Take();
    } else {
      levels_.pop_back();
    }
    return true;
  }
  bool Scalar(absl::string_view value) {
    if (writer_.is_open()) {
      writer_.Add(value);
    } else if (skipped_ == 0 && !levels_.empty()) {
      ++levels_.back().index;
    }
    return true;
  }

  Level root_;
  std::vector<Level> levels_;
  std::string name_;    // of the value that comes now
  size_t skipped_ = 0;  // open brackets of what leads nowhere
  ValueWriter writer_;  // of the object that is read now
  std::string written_path_;
  Objects objects_;
};

}  // namespace

OrderedTexts::OrderedTexts(absl::string_view text,
                           std::initializer_list<absl::string_view> paths)
    : text_(text) {
  for (const absl::string_view path : paths) paths_.push_back(StepsOf(path));
}

std::string OrderedTexts::At(const std::string& path) {
  if (!objects_.has_value()) {
    ObjectFinder finder(&paths_);
    objects_ = Json::sax_parse(text_.begin(), text_.end(), &finder)
                   ? finder.TakeObjects()
                   : Objects();
  }
  const auto found = objects_->find(path);
  return found == objects_->end() ? std::string() : found->second;
}

}  // namespace tandem
