// Reads requests, one JSON object a line, and answers each with a line:
//   {"kind": "json_schema", "text": ..., "choices": [...], "texts": [...],
//    "samples": N, "seed": N}
//   {"accepts": [bool for each of texts], "samples": [texts of the grammar]}
//   {"vocabulary": path of a GGUF}
//   what TokenWalk::Vocabulary says of it; walks are by its tokens
//   {"kind": ..., "text": ..., "walk": {"tokens_max": N, "seed": N}}
//   {"steps": what TokenWalk::Walk says}
// or {"error": "message"}. compare_with_jsonschema.py and
// compare_with_xgrammar.mjs drive it.

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/automaton/grammar_parser.h"
#include "engine/grammar/grammar_source.h"
#include "tests/engine/grammar/check/token_walk.h"

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

Json ErrorOf(const absl::Status& status) {
  return {{"error", std::string(status.message())}};
}

// Texts that a grammar takes, and random ones of it.
Json TextsOf(const GrammarSource& source, const Json& request) {
  const auto grammar = CompileGrammar(source);
  if (!grammar.ok()) return ErrorOf(grammar.status());
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

Json Answer(const Json& request, std::optional<TokenWalk>* walk) {
  if (request.contains("vocabulary")) {
    auto opened = TokenWalk::Open(request.at("vocabulary"));
    if (!opened.ok()) return ErrorOf(opened.status());
    *walk = *std::move(opened);
    return (*walk)->Vocabulary();
  }
  GrammarSource source{.kind = Kinds().at(request.at("kind")),
                       .text = request.value("text", "")};
  for (const Json& choice : request.value("choices", Json::array())) {
    source.choices.push_back(choice);
  }
  if (!request.contains("walk")) return TextsOf(source, request);
  const Json& options = request.at("walk");
  const auto steps = walk->value().Walk(
      source,
      {.tokens_max = options.at("tokens_max"), .seed = options.at("seed")});
  if (!steps.ok()) return ErrorOf(steps.status());
  return {{"steps", *steps}};
}

}  // namespace
}  // namespace tandem

int main() {
  std::optional<tandem::TokenWalk> walk;
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto request = nlohmann::json::parse(line);
    std::cout << tandem::Answer(request, &walk).dump() << "\n" << std::flush;
  }
  return 0;
}
