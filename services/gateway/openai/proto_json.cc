#include "services/gateway/openai/proto_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/reflection.h>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace tandem::gateway {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// WORKER_STATE_ of WorkerState.
std::string PrefixOf(const EnumDescriptor& type) {
  std::string prefix;
  for (const char c : type.name()) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !prefix.empty()) {
      prefix += '_';
    }
    prefix += absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  return prefix + "_";
}

// The one of a repeated field at `index`, or the only one (index below 0).
OrderedJson ValueOf(const Message& message, const FieldDescriptor* field,
                    int index) {
  const Reflection& all = *message.GetReflection();
  const bool one = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? all.GetInt32(message, field)
                 : all.GetRepeatedInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? all.GetInt64(message, field)
                 : all.GetRepeatedInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? all.GetUInt32(message, field)
                 : all.GetRepeatedUInt32(message, field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? all.GetUInt64(message, field)
                 : all.GetRepeatedUInt64(message, field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? all.GetDouble(message, field)
                 : all.GetRepeatedDouble(message, field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? all.GetFloat(message, field)
                 : all.GetRepeatedFloat(message, field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? all.GetBool(message, field)
                 : all.GetRepeatedBool(message, field, index);
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? all.GetString(message, field)
                 : all.GetRepeatedString(message, field, index);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const EnumValueDescriptor& value =
          one ? *all.GetEnum(message, field)
              : *all.GetRepeatedEnum(message, field, index);
      return absl::AsciiStrToLower(
          absl::StripPrefix(value.name(), PrefixOf(*value.type())));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(one ? all.GetMessage(message, field)
                        : all.GetRepeatedMessage(message, field, index));
  }
  return {};
}

}  // namespace

OrderedJson ToJson(const Message& message) {
  OrderedJson json = OrderedJson::object();
  const Reflection& all = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->is_repeated()) {
      OrderedJson list = OrderedJson::array();
      for (int j = 0; j < all.FieldSize(message, field); ++j) {
        list.push_back(ValueOf(message, field, j));
      }
      json[field->name()] = std::move(list);
    } else if (!field->has_presence() || all.HasField(message, field)) {
      json[field->name()] = ValueOf(message, field, -1);
    }
  }
  return json;
}

}  // namespace tandem::gateway
