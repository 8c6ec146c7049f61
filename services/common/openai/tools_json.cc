#include "services/common/openai/tools_json.h"

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/common/flag_values.h"

namespace tandem {
namespace {

constexpr char kChoices[] = "must be none, auto, required or a function";

// The field "type", which says what is chosen or offered.
bool IsFunction(JsonFields* fields) {
  const std::optional<std::string> type = fields->Text("type");
  if (type == "function") return true;
  fields->Fail("type", type.has_value()
                           ? absl::StrCat("must be function: ",
                                          QuotedValue(*type), " is not taken")
                           : std::string("must be function"));
  return false;
}

void ReadFunction(JsonFields* fields, OrderedTexts* texts, v1::Tool* tool) {
  tool->set_name(fields->RequiredText("name"));
  tool->set_description(fields->Text("description").value_or(""));
  fields->Bool("strict");
  const Json* parameters = fields->Any("parameters");
  if (parameters == nullptr) return;
  if (!parameters->is_object()) {
    return fields->Fail("parameters", "must be a JSON Schema, an object");
  }
  if (parameters->empty()) return;
  tool->set_parameters(texts->At(fields->PathOf("parameters")));
}

void ReadTool(ToolForm form, JsonFields* fields, OrderedTexts* texts,
              v1::Tool* tool) {
  if (!IsFunction(fields)) return;
  if (form == ToolForm::kResponses) return ReadFunction(fields, texts, tool);
  const Json* function = fields->Any("function");
  if (function == nullptr) return fields->Fail("function", "must be set");
  JsonFields own(*function, fields->PathOf("function"));
  ReadFunction(&own, texts, tool);
  fields->Fail(own.Finish());
}

void ReadList(ToolForm form, JsonFields* fields, OrderedTexts* texts,
              v1::TurnRequest* turn) {
  const Json* tools = fields->Any("tools");
  if (tools == nullptr) return;
  if (!tools->is_array()) return fields->Fail("tools", "must be a list");
  for (size_t i = 0; i < tools->size(); ++i) {
    JsonFields own((*tools)[i], fields->PathOf(absl::StrCat("tools[", i, "]")));
    ReadTool(form, &own, texts, turn->add_tools());
    fields->Fail(own.Finish());
  }
}

// The one function that is to be called.
std::string ChosenName(ToolForm form, JsonFields* fields) {
  if (!IsFunction(fields)) return "";
  if (form == ToolForm::kResponses) return fields->RequiredText("name");
  const Json* function = fields->Any("function");
  if (function == nullptr) {
    fields->Fail("function", "must be set");
    return "";
  }
  JsonFields own(*function, fields->PathOf("function"));
  std::string name = own.RequiredText("name");
  fields->Fail(own.Finish());
  return name;
}

void ReadChoice(ToolForm form, JsonFields* fields, v1::TurnRequest* turn) {
  const Json* choice = fields->Any("tool_choice");
  if (choice == nullptr) return;
  v1::ToolChoice asked = v1::TOOL_CHOICE_REQUIRED;
  if (choice->is_object()) {
    JsonFields own(*choice, fields->PathOf("tool_choice"));
    turn->set_tool_name(ChosenName(form, &own));
    fields->Fail(own.Finish());
  } else if (*choice == "none") {
    asked = v1::TOOL_CHOICE_NONE;
  } else if (*choice == "auto") {
    asked = v1::TOOL_CHOICE_AUTO;
  } else if (*choice != "required") {
    fields->Fail("tool_choice", kChoices);
  }
  if (!turn->tools().empty()) {
    turn->set_tool_choice(asked);
  } else if (asked == v1::TOOL_CHOICE_REQUIRED) {
    fields->Fail("tool_choice", "is for requests with tools only");
  }
}

}  // namespace

void ReadTools(ToolForm form, JsonFields* fields, OrderedTexts* texts,
               v1::TurnRequest* turn) {
  ReadList(form, fields, texts, turn);
  ReadChoice(form, fields, turn);
  const bool several = fields->Bool("parallel_tool_calls").value_or(true);
  if (!several && !turn->tools().empty()) turn->set_tool_calls_max(1);
}

}  // namespace tandem
