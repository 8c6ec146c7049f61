// Reads requests, one JSON object a line, and answers each with a line:
//   {"kind": "json_schema", "text": ..., "choices": [...], "texts": [...],
//    "samples": N, "seed": N}
//   {"accepts": [bool for each of texts], "samples": [texts of the grammar]}
//   {"error": "message"}
// compare_with_jsonschema.py drives it.

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/grammar/automaton/grammar_parser.h"
#include "engine/grammar/grammar_source.h"

namespace tandem {
namespace {

using Json = nlohmann::json;

constexpr size_t kSampleBytesMax = 2000;

const std::map<std::string, GrammarSource::Kind>& Kinds() {
  static const auto* const kinds =
      new std::map<std::string, GrammarSource::Kind>{
          {"json_schema", GrammarSource::Kind::kJsonSchema},
          {"json_object", GrammarSource::Kind::kJsonObject},
          {"regex", GrammarSource::Kind::kRegex},
          {"gbnf", GrammarSource::Kind::kGbnf},
          {"choices", GrammarSource::Kind::kChoices}};
  return *kinds;
}

bool Accepts(const Grammar& grammar, const std::string& text) {
  GrammarParser parser(&grammar);
  SetId set = parser.Start();
  for (const char byte : text) {
    set = parser.Step(set, static_cast<uint8_t>(byte));
  }
  return parser.set(set).may_end;
}

// A random text; "" where it became too long. Ends are more likely than what
// goes on, so that most are short.
std::string Sample(const Grammar& grammar, std::mt19937_64* random) {
  GrammarParser parser(&grammar);
  SetId set = parser.Start();
  std::string text;
  while (text.size() < kSampleBytesMax) {
    if (parser.set(set).may_end &&
        (parser.set(set).items.empty() || (*random)() % 3 == 0)) {
      return text;
    }
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) {
      if (parser.Step(set, static_cast<uint8_t>(byte)) == kNoSet) continue;
      const char c = static_cast<char>(byte);
      const bool is_end = c == '"' || c == '}' || c == ']' || c == ',';
      bytes.append(is_end ? 20 : 1, c);
    }
    text.push_back(bytes[(*random)() % bytes.size()]);
    set = parser.Step(set, static_cast<uint8_t>(text.back()));
  }
  return "";
}

Json Answer(const Json& request) {
  GrammarSource source{.kind = Kinds().at(request.at("kind")),
                       .text = request.value("text", "")};
  for (const Json& choice : request.value("choices", Json::array())) {
    source.choices.push_back(choice);
  }
  const auto grammar = CompileGrammar(source);
  if (!grammar.ok()) {
    return {{"error", std::string(grammar.status().message())}};
  }
  Json accepts = Json::array();
  for (const Json& text : request.value("texts", Json::array())) {
    accepts.push_back(Accepts(*grammar, text));
  }
  std::mt19937_64 random(request.value("seed", 0));
  Json samples = Json::array();
  for (int i = 0; i < request.value("samples", 0); ++i) {
    const std::string sample = Sample(*grammar, &random);
    if (!sample.empty()) samples.push_back(sample);
  }
  return {{"accepts", accepts}, {"samples", samples}};
}

}  // namespace
}  // namespace tandem

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << tandem::Answer(nlohmann::json::parse(line)).dump() << "\n"
              << std::flush;
  }
  return 0;
}
