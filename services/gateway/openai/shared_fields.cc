#include "services/gateway/openai/shared_fields.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/common/openai/chat_json.h"

namespace tandem::gateway {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
// OpenAI: "values like -100 or 100 should result in a ban or exclusive
// selection". The service bans at minus infinity only.
constexpr float kBanBias = -100;
constexpr size_t kSessionDigits = 32;
// The service's: the index of a choice is below it.
constexpr int64_t kChoicesMax = 64;

void ReadNumber(JsonFields* fields, const char* name,
                v1::GenerationOptions* options,
                void (v1::GenerationOptions::*set)(float)) {
  if (const std::optional<float> value = fields->Number(name)) {
    (options->*set)(*value);
  }
}

void ReadTokenIds(JsonFields* fields, const char* name,
                  v1::GenerationOptions* options) {
  const Json* ids = fields->Any(name);
  if (ids == nullptr) return;
  for (const Json& id : *ids) {
    if (!ids->is_array() || !id.is_number_integer()) break;
    options->add_stop_token_ids(static_cast<int32_t>(std::min<int64_t>(
        std::max<int64_t>(id.get<int64_t>(), -1), kInt32Max)));
  }
  if (!ids->is_array() ||
      static_cast<size_t>(options->stop_token_ids_size()) != ids->size()) {
    fields->Fail(name, "must be a list of token ids");
  }
}

// What vLLM and llama.cpp take beside OpenAI's options, under their names.
void ReadBeyond(JsonFields* fields, v1::GenerationOptions* options) {
  if (const auto top_k = fields->Whole("top_k", -1, kInt32Max)) {
    // vLLM turns it off by -1.
    options->set_top_k(static_cast<int32_t>(std::max<int64_t>(*top_k, 0)));
  }
  ReadNumber(fields, "min_p", options, &v1::GenerationOptions::set_min_p);
  ReadNumber(fields, "repetition_penalty", options,
             &v1::GenerationOptions::set_repetition_penalty);
  if (const auto ignore_eos = fields->Bool("ignore_eos")) {
    options->set_ignore_eos(*ignore_eos);
  }
  ReadTokenIds(fields, "stop_token_ids", options);
  if (const auto min_tokens = fields->Whole("min_tokens", 0, kInt32Max)) {
    options->set_min_tokens(static_cast<int32_t>(*min_tokens));
  }
}

void ReadDraftSources(JsonFields* fields, v1::GenerationOptions* options) {
  const Json* sources = fields->Any("draft_sources");
  if (sources == nullptr) return;
  bool model = false;
  bool lookup = false;
  bool is_good = sources->is_array();
  for (const Json& source : *sources) {
    const bool is_text = source.is_string();
    const bool is_model = is_text && source.get<std::string>() == "model";
    const bool is_lookup = is_text && source.get<std::string>() == "lookup";
    model = model || is_model;
    lookup = lookup || is_lookup;
    is_good = is_good && (is_model || is_lookup);
  }
  if (!is_good) {
    return fields->Fail("draft_sources", "must be a list of model and lookup");
  }
  if (model && !lookup) options->set_draft_sources(v1::DRAFT_SOURCES_MODEL);
  if (lookup && !model) options->set_draft_sources(v1::DRAFT_SOURCES_LOOKUP);
}

// The object "tandem".
void ReadTandem(JsonFields* fields, ApiRequest* request) {
  const Json* object = fields->Any("tandem");
  if (object == nullptr) return;
  request->format.with_tandem = true;
  v1::GenerationOptions* options = request->turn.mutable_options();
  JsonFields own(*object, fields->PathOf("tandem"));
  ReadBeyond(&own, options);
  if (const auto length = own.Whole("draft_length", 0, kInt32Max)) {
    options->set_draft_length(static_cast<int32_t>(*length));
  }
  if (const auto length = own.Whole("draft_length_max", 0, kInt32Max)) {
    options->set_draft_length_max(static_cast<int32_t>(*length));
  }
  ReadDraftSources(&own, options);
  ReadTemplateOptions(&own, &request->turn);
  if (const auto session = own.Text("session_id")) {
    request->turn.set_session_id(*session);
  }
  request->format.resumable = own.Bool("resumable").value_or(true);
  if (const auto timeout =
          own.Whole("timeout_ms", 0, std::numeric_limits<int64_t>::max())) {
    request->turn.set_timeout_ms(*timeout);
  }
  fields->Fail(own.Finish());
}

void ReadStop(JsonFields* fields, v1::GenerationOptions* options) {
  const Json* stop = fields->Any("stop");
  if (stop == nullptr) return;
  if (stop->is_string()) {
    options->add_stop_strings(stop->get<std::string>());
    return;
  }
  if (!stop->is_array()) {
    return fields->Fail("stop", "must be a string or a list of strings");
  }
  for (const Json& text : *stop) {
    if (!text.is_string()) {
      return fields->Fail("stop", "must be a string or a list of strings");
    }
    options->add_stop_strings(text.get<std::string>());
  }
}

void ReadLogitBias(JsonFields* fields, v1::GenerationOptions* options) {
  const Json* biases = fields->Any("logit_bias");
  if (biases == nullptr) return;
  if (!biases->is_object()) {
    return fields->Fail("logit_bias", "must be an object");
  }
  for (const auto& item : biases->items()) {
    v1::LogitBias* bias = options->add_logit_bias();
    int32_t id = 0;
    if (!absl::SimpleAtoi(item.key(), &id) || !item.value().is_number()) {
      return fields->Fail("logit_bias",
                          "must have token ids as names and numbers as values");
    }
    const float value = static_cast<float>(item.value().get<double>());
    bias->set_token_id(id);
    bias->set_bias(value <= kBanBias ? -std::numeric_limits<float>::infinity()
                                     : value);
  }
}

void ReadStreamOptions(JsonFields* fields, ReplyFormat* format) {
  const Json* object = fields->Any("stream_options");
  if (object == nullptr) return;
  if (!format->stream) {
    return fields->Fail("stream_options", "is for \"stream\": true only");
  }
  JsonFields own(*object, fields->PathOf("stream_options"));
  format->include_usage = own.Bool("include_usage").value_or(false);
  own.Ignore({"include_obfuscation"});
  fields->Fail(own.Finish());
}

}  // namespace

void ReadShared(JsonFields* fields, ApiRequest* request) {
  v1::GenerationOptions* options = request->turn.mutable_options();
  // OpenAI's defaults.
  options->set_temperature(1);
  options->set_top_p(1);
  options->set_top_k(0);
  options->set_min_p(0);
  options->set_repetition_penalty(1);
  request->turn.set_model_id(fields->Text("model").value_or(""));
  request->format.stream = fields->Bool("stream").value_or(false);
  ReadNumber(fields, "temperature", options,
             &v1::GenerationOptions::set_temperature);
  ReadNumber(fields, "top_p", options, &v1::GenerationOptions::set_top_p);
  ReadBeyond(fields, options);
  ReadTandem(fields, request);
  fields->Ignore({"user", "metadata", "service_tier", "store",
                  "safety_identifier", "prompt_cache_key",
                  "prompt_cache_retention"});
}

void ReadSampling(JsonFields* fields, ApiRequest* request) {
  v1::GenerationOptions* options = request->turn.mutable_options();
  ReadStop(fields, options);
  ReadLogitBias(fields, options);
  ReadStreamOptions(fields, &request->format);
  ReadNumber(fields, "presence_penalty", options,
             &v1::GenerationOptions::set_presence_penalty);
  ReadNumber(fields, "frequency_penalty", options,
             &v1::GenerationOptions::set_frequency_penalty);
  const Json* seed = fields->Any("seed");
  if (seed != nullptr && seed->is_number_integer()) {
    // A negative one is the same 64 bits.
    options->set_seed(seed->is_number_unsigned()
                          ? seed->get<uint64_t>()
                          : static_cast<uint64_t>(seed->get<int64_t>()));
  } else if (seed != nullptr) {
    fields->Fail("seed", "must be a whole number of 64 bits");
  }
  request->format.choices =
      static_cast<int>(fields->Whole("n", 1, kChoicesMax).value_or(1));
  if (request->format.choices == 1) return;
  request->format.resumable = false;
  if (!request->turn.session_id().empty()) {
    fields->Fail("n", "must be 1 in a session: one reply is its history");
  }
}

void ReadMaxTokens(JsonFields* fields, const char* name, ApiRequest* request) {
  const auto tokens = fields->Whole(name, 1, kInt32Max);
  if (!tokens.has_value()) return;
  request->turn.mutable_options()->set_max_tokens(
      static_cast<int32_t>(*tokens));
  request->format.names.max_tokens = name;
}

std::optional<TurnName> ParseTurnName(absl::string_view text) {
  const size_t dash = text.find('-');
  if (dash != kSessionDigits) return std::nullopt;
  TurnName name;
  for (const char c : text.substr(0, dash)) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
  }
  const absl::string_view turn = text.substr(dash + 1);
  if (turn.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(turn, &name.turn) || name.turn < 1) {
    return std::nullopt;
  }
  name.session_id = std::string(text.substr(0, dash));
  return name;
}

std::string WriteTurnName(const std::string& session_id, int64_t turn) {
  return absl::StrCat(session_id, "-", turn);
}

}  // namespace tandem::gateway
