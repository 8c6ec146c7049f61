#include "tools/tandem/chat/settings.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "engine/base/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/text_format.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/generation_flags.h"

namespace tandem::cli {
namespace {

using google::protobuf::FieldDescriptor;

constexpr char kDefault[] = "default";
constexpr char kShade[] = "shade";
constexpr char kShadeHelp[] =
    "How text looks that was drafted and accepted: off, dim or background; "
    "default dim";
constexpr std::pair<absl::string_view, Shade> kShades[] = {
    {"off", Shade::kOff},
    {"dim", Shade::kDim},
    {"background", Shade::kBackground}};

// The field of GenerationOptions that the flag --NAME sets.
const FieldDescriptor* FieldOf(absl::string_view name) {
  std::string field = absl::StrReplaceAll(name, {{"-", "_"}});
  if (name == "stop") field = "stop_strings";
  if (name == "stop-token") field = "stop_token_ids";
  const FieldDescriptor* const found =
      v1::GenerationOptions::descriptor()->FindFieldByName(field);
  TANDEM_CHECK(found != nullptr);
  return found;
}

// One value of `field` as /set takes it; `index` is -1 where the field is not
// repeated.
std::string ShownValue(const v1::GenerationOptions& options,
                       const FieldDescriptor* field, int index) {
  if (field->name() == "logit_bias") {
    const v1::LogitBias& bias = options.logit_bias(index);
    return absl::StrCat(bias.token_id(), "=", bias.bias());
  }
  std::string text;
  google::protobuf::TextFormat::PrintFieldValueToString(options, field, index,
                                                        &text);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    text = absl::AsciiStrToLower(absl::StripPrefix(text, "DRAFT_SOURCES_"));
  }
  return text;
}

std::string ShownValues(const v1::GenerationOptions& options,
                        const FieldDescriptor* field) {
  const google::protobuf::Reflection* const reflection =
      options.GetReflection();
  if (!field->is_repeated()) {
    return reflection->HasField(options, field) ? ShownValue(options, field, -1)
                                                : kDefault;
  }
  std::string text;
  for (int i = 0; i < reflection->FieldSize(options, field); ++i) {
    absl::StrAppend(&text, i > 0 ? " " : "", ShownValue(options, field, i));
  }
  return text.empty() ? kDefault : text;
}

// An error that names a flag, as one that names the option.
absl::Status InOptionTerms(absl::string_view message) {
  return UsageError(absl::StripPrefix(message, "--"));
}

absl::Status SetShade(absl::string_view value, Shade* shade) {
  if (value == kDefault) {
    *shade = ChatSettings().shade;
    return absl::OkStatus();
  }
  for (const auto& [name, which] : kShades) {
    if (value != name) continue;
    *shade = which;
    return absl::OkStatus();
  }
  return UsageError(absl::StrCat("shade: ", QuotedValue(value),
                                 " is not one of off, dim, background"));
}

absl::string_view NameOf(Shade shade) {
  for (const auto& [name, which] : kShades) {
    if (which == shade) return name;
  }
  return kDefault;
}

// The names of all options, without the dashes of their flags.
std::vector<std::string> NamesOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    names.push_back(option->get_lnames().front());
  }
  names.push_back(kShade);
  return names;
}

// Has only the options of generation.
void MakeParser(CLI::App* app, v1::GenerationOptions* options) {
  app->set_help_flag();
  AddChatOptions(app, options);
}

// A switch is a flag without a value.
absl::StatusOr<bool> SwitchValue(absl::string_view name,
                                 absl::string_view value) {
  if (value == "on" || value == "true") return true;
  if (value == "off" || value == "false") return false;
  return UsageError(
      absl::StrCat(name, ": ", QuotedValue(value), " is neither on nor off"));
}

// Gives `value` to the flag of `option`.
absl::Status Parse(CLI::App* app, const CLI::Option& option,
                   absl::string_view value) {
  const std::string flag = absl::StrCat("--", option.get_lnames().front());
  std::string argument = flag;
  if (option.get_expected_max() > 0) absl::StrAppend(&argument, "=", value);
  try {  // CLI11 reports by exceptions; they end here.
    app->parse(std::vector<std::string>{argument});
  } catch (const CLI::ParseError& error) {
    return InOptionTerms(absl::StrReplaceAll(error.what(), {{"\n", " "}}));
  }
  return absl::OkStatus();
}

}  // namespace

void AddChatOptions(CLI::App* command, v1::GenerationOptions* options) {
  AddGenerationFlags(command, options);
  command->remove_option(command->get_option("--logprobs"));
}

absl::Status SetOption(absl::string_view name, absl::string_view value,
                       ChatSettings* settings) {
  const std::string wanted =
      absl::StrReplaceAll(absl::StripPrefix(name, "--"), {{"_", "-"}});
  if (wanted == kShade) return SetShade(value, &settings->shade);
  v1::GenerationOptions changed = settings->generation;
  CLI::App app;
  MakeParser(&app, &changed);
  const CLI::Option* const option =
      app.get_option_no_throw(absl::StrCat("--", wanted));
  if (option == nullptr) {
    const std::string near = NearestName(wanted, NamesOf(app));
    return UsageError(absl::StrCat(
        "there is no option ", QuotedValue(name),
        near.empty() ? "; /set lists them"
                     : absl::StrCat("; did you mean ", near, "?")));
  }
  const FieldDescriptor* const field = FieldOf(wanted);
  bool is_given = value != kDefault;
  if (is_given && option->get_expected_max() == 0) {
    TANDEM_ASSIGN_OR_RETURN(is_given, SwitchValue(wanted, value));
  }
  if (is_given) {
    TANDEM_RETURN_IF_ERROR(Parse(&app, *option, value));
  } else {
    changed.GetReflection()->ClearField(&changed, field);
  }
  const absl::Status checked = CheckGenerationOptions(changed);
  if (!checked.ok()) return InOptionTerms(checked.message());
  settings->generation = changed;
  return absl::OkStatus();
}

std::vector<std::vector<std::string>> OptionTable(
    const ChatSettings& settings) {
  v1::GenerationOptions parsed;
  CLI::App app;
  MakeParser(&app, &parsed);
  std::vector<std::vector<std::string>> rows = {{"option", "value", "what"}};
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_lnames().front();
    rows.push_back({name, ShownValues(settings.generation, FieldOf(name)),
                    option->get_description()});
  }
  rows.push_back({kShade, std::string(NameOf(settings.shade)), kShadeHelp});
  return rows;
}

}  // namespace tandem::cli
