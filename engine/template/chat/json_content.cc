#include "engine/template/chat/json_content.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// Takes what nlohmann's parser reads. Values come complete, so lists and
// objects are open until their last item is there.
class ValueMaker : public nlohmann::json::json_sax_t {
 public:
  const TemplateValue& root() const { return root_; }
  const absl::Status& status() const { return status_; }

  bool null() override { return Add(TemplateValue::None()); }
  bool boolean(bool value) override { return Add(TemplateValue::Bool(value)); }
  bool number_integer(int64_t value) override {
    return Add(TemplateValue::Integer(value));
  }
  bool number_unsigned(uint64_t value) override {
    constexpr uint64_t kHighest = std::numeric_limits<int64_t>::max();
    return Add(value <= kHighest
                   ? TemplateValue::Integer(static_cast<int64_t>(value))
                   : TemplateValue::Float(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string& /*text*/) override {
    return Add(TemplateValue::Float(value));
  }
  bool string(std::string& value) override {
    return Add(TemplateValue::Content(value));
  }
  bool binary(nlohmann::json::binary_t& /*value*/) override { return false; }
  bool start_object(size_t /*size*/) override { return Begin(); }
  bool key(std::string& name) override {
    open_.back().keys.push_back(std::move(name));
    return true;
  }
  bool end_object() override {
    Open open = End();
    std::vector<std::pair<std::string, TemplateValue>> entries;
    entries.reserve(open.keys.size());
    for (size_t i = 0; i < open.keys.size(); ++i) {
      entries.emplace_back(std::move(open.keys[i]), std::move(open.items[i]));
    }
    return Add(TemplateValue::Map(std::move(entries)));
  }
  bool start_array(size_t /*size*/) override { return Begin(); }
  bool end_array() override { return Add(TemplateValue::List(End().items)); }
  bool parse_error(size_t position, const std::string& /*last*/,
                   const nlohmann::detail::exception& /*error*/) override {
    status_ =
        absl::InvalidArgumentError(absl::StrCat("is no JSON: byte ", position));
    return false;
  }

 private:
  // A list or an object whose items are read.
  struct Open {
    std::vector<std::string> keys = {};  // of an object
    std::vector<TemplateValue> items = {};
  };

  bool Begin() {
    open_.emplace_back();
    if (open_.size() <= static_cast<size_t>(kJsonContentDepthMax)) return true;
    status_ = absl::InvalidArgumentError(
        absl::StrCat("has lists and objects in one another, more than ",
                     kJsonContentDepthMax));
    return false;
  }
  Open End() {
    Open open = std::move(open_.back());
    open_.pop_back();
    return open;
  }
  bool Add(TemplateValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  TemplateValue root_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<TemplateValue> ParseJsonContent(absl::string_view text) {
  ValueMaker maker;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &maker)) {
    return maker.status();
  }
  if (!maker.root().is_map()) {
    return absl::InvalidArgumentError("must be a JSON object");
  }
  return maker.root();
}

}  // namespace tandem
