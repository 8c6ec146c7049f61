#include "services/gateway/openai/response_input.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/openai/chat_json.h"

namespace tandem::gateway {
namespace {

class ItemReader {
 public:
  ItemReader(OrderedTexts* texts, v1::ChatMessages* messages)
      : texts_(texts), messages_(messages) {}

  void Read(JsonFields* item) {
    item->Ignore({"id", "status"});
    const std::string type = item->Text("type").value_or("message");
    if (type == "message") {
      ReadMessage(item);
    } else if (type == "function_call") {
      ReadCall(item);
    } else if (type == "function_call_output") {
      ReadOutput(item);
    } else if (type == "reasoning") {
      ReadReasoning(item);
    } else {
      item->Fail("type",
                 "must be message, function_call, function_call_output or "
                 "reasoning");
    }
  }

 private:
  void ReadMessage(JsonFields* item) {
    const std::optional<v1::ChatRole> role =
        RoleOf(item->Text("role").value_or(""));
    if (!role.has_value() || *role == v1::CHAT_ROLE_TOOL) {
      return item->Fail("role", "must be system, developer, user or assistant");
    }
    Add(*role)->set_content(ReadText("content", item));
  }

  void ReadCall(JsonFields* item) {
    if (calling_ == nullptr) Add(v1::CHAT_ROLE_ASSISTANT);
    v1::ToolCall* call = calling_->add_tool_calls();
    call->set_id(item->RequiredText("call_id"));
    ReadNameAndArguments(item, texts_, call);
  }

  void ReadOutput(JsonFields* item) {
    v1::ChatMessage* message = Add(v1::CHAT_ROLE_TOOL);
    message->set_tool_call_id(item->RequiredText("call_id"));
    message->set_content(ReadText("output", item));
  }

  void ReadReasoning(JsonFields* item) {
    item->Ignore({"summary"});
    item->Refuse("encrypted_content", "is not taken: it is another service's");
    const Json* parts = item->Any("content");
    if (parts == nullptr) return;
    if (!parts->is_array()) {
      return item->Fail("content", "must be a list of parts");
    }
    for (size_t i = 0; i < parts->size(); ++i) {
      JsonFields part((*parts)[i],
                      item->PathOf(absl::StrCat("content[", i, "]")));
      if (part.Text("type").value_or("") != "reasoning_text") {
        part.Fail("type", "must be reasoning_text");
      }
      reasoning_ += part.Text("text").value_or("");
      item->Fail(part.Finish());
    }
    if (!reasoning_.empty()) calling_ = nullptr;
  }

  // A text, or a list of parts that are texts.
  static std::string ReadText(const char* name, JsonFields* item) {
    const Json* content = item->Any(name);
    if (content == nullptr) {
      item->Fail(name, "must be a string or a list of parts");
      return "";
    }
    return ReadContent(item, *content, item->PathOf(name)).value_or("");
  }

  v1::ChatMessage* Add(v1::ChatRole role) {
    v1::ChatMessage* message = messages_->add_messages();
    message->set_role(role);
    std::string reasoning = std::exchange(reasoning_, std::string());
    calling_ = nullptr;
    if (role == v1::CHAT_ROLE_ASSISTANT) {
      message->set_reasoning(std::move(reasoning));
      calling_ = message;
    }
    return message;
  }

  OrderedTexts* const texts_;
  v1::ChatMessages* const messages_;
  std::string reasoning_;  // of the assistant's next message
  // The last message where it is the assistant's: it takes the next calls.
  v1::ChatMessage* calling_ = nullptr;
};

}  // namespace

void ReadInput(JsonFields* fields, OrderedTexts* texts,
               v1::ChatMessages* messages) {
  const Json* input = fields->Any("input");
  if (input != nullptr && input->is_string()) {
    v1::ChatMessage* message = messages->add_messages();
    message->set_role(v1::CHAT_ROLE_USER);
    message->set_content(input->get<std::string>());
    return;
  }
  if (input == nullptr || !input->is_array() || input->empty()) {
    return fields->Fail("input", "must be a string or a list of items");
  }
  ItemReader reader(texts, messages);
  for (size_t i = 0; i < input->size(); ++i) {
    JsonFields item((*input)[i], absl::StrCat("input[", i, "]"));
    reader.Read(&item);
    fields->Fail(item.Finish());
  }
}

}  // namespace tandem::gateway
