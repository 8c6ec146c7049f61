// Renders templates for the comparison with Jinja (oracle_test.cc): each line
// of standard input is a JSON object with "source" and "variables" (texts at
// the top are tokens, those further down contents) and may have "now" (seconds
// since 1970, UTC). Each line of standard output is a JSON object with "parts"
// (pairs of a text and whether it is content) or "error".

#include <ctime>
#include <iostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/template/template_program.h"

namespace tandem {
namespace {

using Json = nlohmann::ordered_json;

TemplateValue ValueOf(const Json& json) {
  if (json.is_null()) return TemplateValue::None();
  if (json.is_boolean()) return TemplateValue::Bool(json.get<bool>());
  if (json.is_number_integer()) {
    return TemplateValue::Integer(json.get<int64_t>());
  }
  if (json.is_number()) return TemplateValue::Float(json.get<double>());
  if (json.is_string()) return TemplateValue::Content(json.get<std::string>());
  if (json.is_array()) {
    std::vector<TemplateValue> items;
    for (const Json& item : json) items.push_back(ValueOf(item));
    return TemplateValue::List(std::move(items));
  }
  std::vector<std::pair<std::string, TemplateValue>> entries;
  for (const auto& [key, item] : json.items()) {
    entries.emplace_back(key, ValueOf(item));
  }
  return TemplateValue::Map(std::move(entries));
}

Json Render(const Json& request) {
  const auto program =
      TemplateProgram::Parse(request.at("source").get<std::string>());
  if (!program.ok()) return {{"error", program.status().ToString()}};
  TemplateInput input;
  for (const auto& [name, value] : request.at("variables").items()) {
    // Top-level texts are tokens, such as bos_token.
    input.variables.emplace_back(
        name, value.is_string() ? TemplateValue::Text(value.get<std::string>())
                                : ValueOf(value));
  }
  const auto now = request.value("now", std::time_t{0});
  gmtime_r(&now, &input.now);
  const auto parts = (*program)->Render(input);
  if (!parts.ok()) return {{"error", parts.status().ToString()}};
  Json rendered = Json::array();
  for (const TextPart& part : *parts) {
    rendered.push_back({part.text, part.is_content});
  }
  return {{"parts", rendered}};
}

}  // namespace
}  // namespace tandem

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << tandem::Render(tandem::Json::parse(line)).dump() << std::endl;
  }
  return 0;
}
