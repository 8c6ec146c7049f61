#include "services/gateway/openai/response_format.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tandem::gateway {
namespace {

// Writes the object at a path while the text is read.
class ObjectWriter : public nlohmann::json_sax<Json> {
 public:
  explicit ObjectWriter(const std::vector<std::string>* path) : path_(path) {}

  std::string TakeText() { return std::move(text_); }

  bool null() override { return Add("null"); }
  bool boolean(bool value) override { return Add(value ? "true" : "false"); }
  bool number_integer(int64_t value) override {
    return Add(absl::StrCat(value));
  }
  bool number_unsigned(uint64_t value) override {
    return Add(absl::StrCat(value));
  }
  bool number_float(double /*value*/, const std::string& spelling) override {
    return Add(spelling);
  }
  bool string(std::string& value) override {
    return Add(is_inside() ? Json(value).dump() : "");
  }
  bool binary(Json::binary_t& /*value*/) override { return false; }
  bool start_object(size_t /*size*/) override { return Open("{"); }
  bool end_object() override { return Close("}"); }
  bool start_array(size_t /*size*/) override {
    leads_there_ = false;
    return Open("[");
  }
  bool end_array() override { return Close("]"); }
  bool key(std::string& name) override {
    if (is_inside()) {
      Separate();
      absl::StrAppend(&text_, Json(name).dump(), ":");
      needs_comma_ = false;
    } else {
      leads_there_ = depth_ == found_ + 1 && name == (*path_)[found_];
    }
    return true;
  }
  bool parse_error(size_t /*position*/, const std::string& /*last*/,
                   const Json::exception& /*error*/) override {
    return false;
  }

 private:
  bool is_inside() const { return inside_ > 0; }
  void Separate() {
    if (needs_comma_) text_.push_back(',');
    needs_comma_ = true;
  }
  bool Add(absl::string_view value) {
    leads_there_ = false;
    if (!is_inside()) return true;
    Separate();
    absl::StrAppend(&text_, value);
    return true;
  }
  bool Open(absl::string_view bracket) {
    const bool leads_there = std::exchange(leads_there_, false);
    if (leads_there && found_ + 1 == path_->size()) {
      text_.clear();  // of two objects of one name the last one counts
      needs_comma_ = false;
    } else if (!is_inside()) {
      ++depth_;
      if (leads_there) ++found_;
      return true;
    }
    Separate();
    absl::StrAppend(&text_, bracket);
    needs_comma_ = false;
    ++inside_;
    return true;
  }
  bool Close(absl::string_view bracket) {
    if (is_inside()) {
      absl::StrAppend(&text_, bracket);
      needs_comma_ = true;
      --inside_;
    } else {
      --depth_;
      if (found_ > 0 && depth_ <= found_) found_ = depth_ - 1;
    }
    return true;
  }

  const std::vector<std::string>* const path_;
  std::string text_;
  size_t depth_ = 0;          // open brackets outside of the object
  size_t found_ = 0;          // names of the path on the way here
  bool leads_there_ = false;  // the next value is that of the next name
  size_t inside_ = 0;         // open brackets of the object
  bool needs_comma_ = false;
};

void ReadSchema(absl::string_view text, std::vector<std::string> path,
                JsonFields* own, v1::GenerationOptions* options) {
  own->Ignore({"name", "description", "strict"});
  path.push_back("schema");
  const Json* const schema = own->Any("schema");
  if (schema == nullptr || !schema->is_object()) {
    return own->Fail("schema", "must be a JSON Schema, an object");
  }
  options->mutable_response_format()->set_json_schema(ObjectText(text, path));
}

// What a format's type says, and the schema, if it says so, of the object at
// `path`.
void ReadType(absl::string_view text, const std::vector<std::string>& path,
              JsonFields* format, v1::GenerationOptions* options) {
  const std::string type = format->Text("type").value_or("");
  if (type == "json_object") {
    options->mutable_response_format()->mutable_json_object();
  } else if (type != "text" && type != "json_schema") {
    format->Fail("type", "must be text, json_object or json_schema");
  }
  // In responses the schema stands beside its type.
  if (path.front() == "text") {
    if (type == "json_schema") return ReadSchema(text, path, format, options);
    return;
  }
  const Json* const object = format->Any("json_schema");
  if (type != "json_schema") return;
  if (object == nullptr) return format->Fail("json_schema", "must be set");
  std::vector<std::string> inner = path;
  inner.push_back("json_schema");
  JsonFields own(*object, absl::StrJoin(inner, "."));
  ReadSchema(text, std::move(inner), &own, options);
  format->Fail(own.Finish());
}

}  // namespace

void ReadResponseFormat(absl::string_view text, JsonFields* fields,
                        v1::GenerationOptions* options) {
  const Json* const object = fields->Any("response_format");
  if (object == nullptr) return;
  JsonFields format(*object, "response_format");
  ReadType(text, {"response_format"}, &format, options);
  fields->Fail(format.Finish());
}

void ReadTextFormat(absl::string_view text, JsonFields* fields,
                    v1::GenerationOptions* options) {
  const Json* const object = fields->Any("text");
  if (object == nullptr) return;
  JsonFields own(*object, "text");
  own.Ignore({"verbosity"});
  if (const Json* const value = own.Any("format")) {
    JsonFields format(*value, "text.format");
    ReadType(text, {"text", "format"}, &format, options);
    own.Fail(format.Finish());
  }
  fields->Fail(own.Finish());
}

std::string ObjectText(absl::string_view text,
                       const std::vector<std::string>& path) {
  ObjectWriter writer(&path);
  Json::sax_parse(text.begin(), text.end(), &writer);
  return writer.TakeText();
}

}  // namespace tandem::gateway
