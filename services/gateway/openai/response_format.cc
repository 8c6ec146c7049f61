#include "services/gateway/openai/response_format.h"

#include <string>

namespace tandem::gateway {
namespace {

// Where a schema stands: in an object beside the type, or beside it itself.
enum class SchemaPlace { kObject, kBesideType };

void ReadSchema(OrderedTexts* texts, JsonFields* own,
                v1::GenerationOptions* options) {
  own->Ignore({"name", "description", "strict"});
  const Json* const schema = own->Any("schema");
  if (schema == nullptr || !schema->is_object()) {
    return own->Fail("schema", "must be a JSON Schema, an object");
  }
  options->mutable_response_format()->set_json_schema(
      texts->At(own->PathOf("schema")));
}

// What a format's type says, and the schema, if it says so.
void ReadType(SchemaPlace place, OrderedTexts* texts, JsonFields* format,
              v1::GenerationOptions* options) {
  const std::string type = format->Text("type").value_or("");
  if (type == "json_object") {
    options->mutable_response_format()->mutable_json_object();
  } else if (type != "text" && type != "json_schema") {
    format->Fail("type", "must be text, json_object or json_schema");
  }
  if (place == SchemaPlace::kBesideType) {
    if (type == "json_schema") ReadSchema(texts, format, options);
    return;
  }
  const Json* const object = format->Any("json_schema");
  if (type != "json_schema") return;
  if (object == nullptr) return format->Fail("json_schema", "must be set");
  JsonFields own(*object, format->PathOf("json_schema"));
  ReadSchema(texts, &own, options);
  format->Fail(own.Finish());
}

}  // namespace

void ReadResponseFormat(OrderedTexts* texts, JsonFields* fields,
                        v1::GenerationOptions* options) {
  const Json* const object = fields->Any("response_format");
  if (object == nullptr) return;
  JsonFields format(*object, "response_format");
  ReadType(SchemaPlace::kObject, texts, &format, options);
  fields->Fail(format.Finish());
}

void ReadTextFormat(OrderedTexts* texts, JsonFields* fields,
                    v1::GenerationOptions* options) {
  const Json* const object = fields->Any("text");
  if (object == nullptr) return;
  JsonFields own(*object, "text");
  own.Ignore({"verbosity"});
  if (const Json* const value = own.Any("format")) {
    JsonFields format(*value, "text.format");
    ReadType(SchemaPlace::kBesideType, texts, &format, options);
    own.Fail(format.Finish());
  }
  fields->Fail(own.Finish());
}

}  // namespace tandem::gateway
