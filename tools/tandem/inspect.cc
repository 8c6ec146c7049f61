// tandem inspect: what a GGUF file holds, and what its model takes here.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/base/thread_team.h"
#include "engine/engine.h"
#include "engine/gguf/gguf_file.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/memory_account.h"
#include "engine/model/memory_plan.h"
#include "engine/model/weights.h"
#include "services/common/flag_messages.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

// A vocabulary has up to a million entries: only its first ones are shown.
constexpr size_t kElementsShown = 8;
constexpr size_t kStringBytesShown = 100;

std::string TypeName(const GgufEntry& entry) {
  if (const auto* array = std::get_if<GgufArray>(&entry.value)) {
    return absl::StrCat(GgufValueTypeName(array->element_type), "[]");
  }
  return std::string(GgufValueTypeName(entry.type));
}

// What the model would take as a worker of its own on this machine, beside the
// workers that run here now.
struct MemoryHere {
  ModelNeeds needs;
  absl::StatusOr<MemoryPlan> plan = absl::UnknownError("");
  int threads = 0;
};

absl::StatusOr<MemoryHere> PlanHere(const GgufFile& file) {
  MemoryHere here;
  TANDEM_ASSIGN_OR_RETURN(here.needs, NeedsOf(file, std::nullopt, {}));
  here.plan = MemoryAccount().Try(absl::MakeConstSpan(&here.needs, 1));
  here.threads = AvailableCpus();
  return here;
}

Json JsonMemory(const absl::StatusOr<MemoryHere>& here) {
  if (!here.ok()) return {{"error", std::string(here.status().message())}};
  Json memory = {{"weight_bytes", here->needs.weight_bytes},
                 {"scratch_bytes", here->needs.scratch_bytes},
                 {"kv_token_bytes", here->needs.page_bytes / kKvPageTokens},
                 {"context", here->needs.context},
                 {"threads", here->threads},
                 {"fits", here->plan.ok()}};
  if (here->plan.ok()) {
    const MemoryPlan& plan = *here->plan;
    memory["kv_tokens"] = plan.models[0].kv_tokens;
    memory["kv_bytes"] = plan.models[0].kv_bytes;
    memory["total_bytes"] = plan.models[0].total_bytes;
    memory["room_bytes"] = plan.room_bytes;
    memory["limit"] = plan.limit;
  } else {
    memory["error"] = std::string(here->plan.status().message());
  }
  return memory;
}

template <typename T>
Json JsonScalar(const T& value) {
  if constexpr (std::is_same_v<T, absl::string_view>) {
    return std::string(value);
  } else {
    return value;
  }
}

Json JsonArray(const GgufArray& array) {
  Json first = Json::array();
  std::visit(
      [&first](const auto& values) {
        const size_t shown = std::min(values.size(), kElementsShown);
        for (size_t i = 0; i < shown; ++i) {
          first.push_back(JsonScalar(values[i]));
        }
      },
      array.values);
  return {{"count", array.size()}, {"first", first}};
}

Json JsonEntry(const GgufEntry& entry) {
  Json value;
  std::visit(
      [&value](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, GgufArray>) {
          value = JsonArray(held);
        } else {
          value = JsonScalar(held);
        }
      },
      entry.value);
  return {{"key", entry.key}, {"type", TypeName(entry)}, {"value", value}};
}

Json JsonTensors(const GgufFile& file, NumericsMode mode) {
  Json tensors = Json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.push_back(
        {{"name", tensor.name},
         {"type", std::string(GetTensorTypeInfo(tensor.type).name)},
         {"shape", tensor.dims},
         {"offset", tensor.offset},
         {"bytes", tensor.bytes}});
    const std::optional<int64_t> packed = MatrixMemoryBytes(file, tensor, mode);
    if (packed.has_value()) tensors.back()["packed_bytes"] = *packed;
  }
  return tensors;
}

// All that the file says, but for the memory that its model takes here.
Json JsonFile(const GgufFile& file) {
  const NumericsMode mode = DefaultNumericsMode(file);
  uint64_t file_bytes = 0;
  for (size_t i = 0; i < file.shards(); ++i) {
    file_bytes += file.shard_size(i);
  }
  uint64_t parameters = 0;
  uint64_t tensor_bytes = 0;
  int64_t packed_bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    parameters += tensor.elements();
    tensor_bytes += tensor.bytes;
    packed_bytes += MatrixMemoryBytes(file, tensor, mode).value_or(0);
  }
  Json metadata = Json::array();
  for (const GgufEntry& entry : file.entries()) {
    metadata.push_back(JsonEntry(entry));
  }
  return {{"version", file.version()},
          {"file_bytes", file_bytes},
          {"alignment", file.alignment()},
          {"metadata", metadata},
          {"numerics", std::string(NumericsModeName(mode))},
          {"tensors", JsonTensors(file, mode)},
          {"parameters", parameters},
          {"tensor_bytes", tensor_bytes},
          {"packed_bytes", packed_bytes}};
}

// Printable: a file's text must not drive the terminal.
std::string Printable(const Json& text) {
  return absl::Utf8SafeCEscape(text.get_ref<const std::string&>());
}

// A value of the metadata as text.
std::string ShownValue(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const std::string quoted = absl::StrCat(
        "\"", absl::Utf8SafeCEscape(text.substr(0, kStringBytesShown)), "\"");
    if (text.size() <= kStringBytesShown) return quoted;
    return absl::StrCat(quoted, "... (", text.size(), " bytes)");
  }
  if (!value.is_object()) return Shown(value);
  const Json& first = value["first"];
  const std::string list =
      absl::StrJoin(first, ", ", [](std::string* out, const Json& element) {
        absl::StrAppend(out, ShownValue(element));
      });
  if (first.size() == value["count"].get<size_t>())
    return absl::StrCat("[", list, "]");
  return absl::StrCat("[", list, ", ... ", value["count"].dump(), " in all]");
}

void PrintFile(const Json& file, std::ostream* out) {
  *out << "GGUF version " << file["version"] << ", " << file["file_bytes"]
       << " bytes, alignment " << file["alignment"]
       << "\n\nmetadata: " << file["metadata"].size() << "\n";
  for (const Json& entry : file["metadata"]) {
    *out << absl::StreamFormat("  %-40s %-10s %s\n", Printable(entry["key"]),
                               entry["type"].get<std::string>(),
                               ShownValue(entry["value"]));
  }
  *out << "\ntensors: " << file["tensors"].size()
       << " (shape: the contiguous dimension first; offset from the start of "
          "its file; packed: bytes in memory in numerics "
       << file["numerics"].get<std::string>() << ")\n";
  for (const Json& tensor : file["tensors"]) {
    *out << absl::StreamFormat(
        "  %-32s %-6s %-16s offset %-12d bytes %-12d packed %s\n",
        Printable(tensor["name"]), tensor["type"].get<std::string>(),
        absl::StrCat(
            "[",
            absl::StrJoin(tensor["shape"].get<std::vector<uint64_t>>(), ", "),
            "]"),
        tensor["offset"].get<uint64_t>(), tensor["bytes"].get<uint64_t>(),
        Shown(tensor.value("packed_bytes", Json())));
  }
  *out << "total: " << file["parameters"] << " parameters, "
       << file["tensor_bytes"] << " bytes, " << file["packed_bytes"]
       << " packed\n";
}

struct InspectFlags {
  std::string path;
  bool json = false;
};

absl::Status RunInspect(const InspectFlags& flags,
                        const ConnectionFlags& /*connection*/, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                          GgufFile::Open(flags.path));
  Json json = JsonFile(*file);
  const Json memory = JsonMemory(PlanHere(*file));
  if (flags.json) {
    json["memory"] = memory;
    PrintJson(json, io.out);
  } else {
    PrintFile(json, io.out);
    *io.out << "\nmemory of a worker on this machine, with default flags and "
            << AvailableCpusText() << "\n";
    PrintReport(memory, io.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app->add_subcommand(
      "inspect",
      "Prints the metadata and the tensor table of a GGUF file, and the memory "
      "that its model takes on this machine.");
  command->add_option("file", flags->path, "The GGUF file")->required();
  command->add_flag("--json", flags->json,
                    "Prints one object; of an array its count and first "
                    "elements");
  SetExamples(command, {"tandem inspect model.gguf",
                        "tandem inspect model.gguf --json"});
  RunWhenChosen(command, flags, RunInspect, line);
}

}  // namespace tandem::cli
