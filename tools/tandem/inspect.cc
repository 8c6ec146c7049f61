// tandem inspect: what a GGUF file holds, and what its model takes here.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>

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
#include "tools/tandem/command_line.h"
#include "tools/tandem/json_output.h"

namespace tandem::cli {
namespace {

// A vocabulary has up to a million entries: only its first ones are shown.
constexpr size_t kElementsShown = 8;
constexpr size_t kStringBytesShown = 100;

// Printable: a file's text must not drive the terminal.
std::string ShownString(absl::string_view text) {
  const std::string quoted = absl::StrCat(
      "\"", absl::Utf8SafeCEscape(text.substr(0, kStringBytesShown)), "\"");
  if (text.size() <= kStringBytesShown) return quoted;
  return absl::StrCat(quoted, "... (", text.size(), " bytes)");
}

template <typename T>
std::string ShownScalar(const T& value) {
  if constexpr (std::is_same_v<T, absl::string_view>) {
    return ShownString(value);
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else {
    return absl::StrCat(value);
  }
}

std::string ShownArray(const GgufArray& array) {
  return std::visit(
      [](const auto& values) {
        const size_t shown = std::min(values.size(), kElementsShown);
        const std::string list =
            absl::StrJoin(values.begin(), values.begin() + shown, ", ",
                          [](std::string* out, const auto& value) {
                            absl::StrAppend(out, ShownScalar(value));
                          });
        if (shown == values.size()) return absl::StrCat("[", list, "]");
        return absl::StrCat("[", list, ", ... ", values.size(), " in all]");
      },
      array.values);
}

std::string ShownValue(const GgufEntry& entry) {
  return std::visit(
      [](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>,
                                     GgufArray>) {
          return ShownArray(value);
        } else {
          return ShownScalar(value);
        }
      },
      entry.value);
}

std::string TypeName(const GgufEntry& entry) {
  if (const auto* array = std::get_if<GgufArray>(&entry.value)) {
    return absl::StrCat(GgufValueTypeName(array->element_type), "[]");
  }
  return std::string(GgufValueTypeName(entry.type));
}

std::string Shape(const GgufTensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.dims, ", "), "]");
}

struct Totals {
  uint64_t elements = 0;
  uint64_t bytes = 0;
  int64_t packed_bytes = 0;
};

Totals TensorTotals(const GgufFile& file, NumericsMode mode) {
  Totals totals;
  for (const GgufTensor& tensor : file.tensors()) {
    totals.elements += tensor.elements();
    totals.bytes += tensor.bytes;
    totals.packed_bytes += MatrixMemoryBytes(file, tensor, mode).value_or(0);
  }
  return totals;
}

// Of all files of the model.
uint64_t FileBytes(const GgufFile& file) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < file.shards(); ++i)
    bytes += file.shard_bytes(i).size();
  return bytes;
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

int64_t KvTokenBytes(const ModelNeeds& needs) {
  return needs.page_bytes / kKvPageTokens;
}

void PrintMemoryText(const absl::StatusOr<MemoryHere>& here,
                     std::ostream* out) {
  *out << "\nmemory of a worker on this machine, with default flags\n";
  if (!here.ok()) {
    *out << "  not known: " << here.status().message() << "\n";
    return;
  }
  *out << absl::StrFormat(
      "  weights %d bytes, KV %d bytes a token, context %d, threads %d (%s)\n",
      here->needs.weight_bytes, KvTokenBytes(here->needs), here->needs.context,
      here->threads, AvailableCpusText());
  *out << (here->plan.ok()
               ? absl::StrCat("  fits: ",
                              DescribePlan(*here->plan, here->needs, 0))
               : absl::StrCat("  does not fit: ",
                              here->plan.status().message()))
       << "\n";
}

Json JsonMemory(const absl::StatusOr<MemoryHere>& here) {
  if (!here.ok()) return {{"error", std::string(here.status().message())}};
  Json memory = {{"weight_bytes", here->needs.weight_bytes},
                 {"scratch_bytes", here->needs.scratch_bytes},
                 {"kv_token_bytes", KvTokenBytes(here->needs)},
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

void PrintText(const GgufFile& file, NumericsMode mode, std::ostream* out) {
  *out << absl::StrFormat("GGUF version %d, %d bytes, alignment %d\n\n",
                          file.version(), FileBytes(file), file.alignment());
  *out << "metadata: " << file.entries().size() << "\n";
  for (const GgufEntry& entry : file.entries()) {
    *out << absl::StrFormat("  %-40s %-10s %s\n",
                            absl::Utf8SafeCEscape(entry.key), TypeName(entry),
                            ShownValue(entry));
  }
  *out << "\ntensors: " << file.tensors().size()
       << " (shape: the contiguous dimension first; offset from the start of "
          "its file; packed: bytes in memory in numerics "
       << NumericsModeName(mode) << ")\n";
  for (const GgufTensor& tensor : file.tensors()) {
    const std::optional<int64_t> packed = MatrixMemoryBytes(file, tensor, mode);
    *out << absl::StrFormat(
        "  %-32s %-6s %-16s offset %-12d bytes %-12d packed %s\n",
        absl::Utf8SafeCEscape(tensor.name), GetTensorTypeInfo(tensor.type).name,
        Shape(tensor), tensor.offset, tensor.bytes,
        packed.has_value() ? absl::StrCat(*packed) : "-");
  }
  const Totals totals = TensorTotals(file, mode);
  *out << absl::StrFormat("total: %d parameters, %d bytes, %d packed\n",
                          totals.elements, totals.bytes, totals.packed_bytes);
  PrintMemoryText(PlanHere(file), out);
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

void PrintJsonForm(const GgufFile& file, NumericsMode mode, std::ostream* out) {
  Json metadata = Json::array();
  for (const GgufEntry& entry : file.entries()) {
    metadata.push_back(JsonEntry(entry));
  }
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
  const Totals totals = TensorTotals(file, mode);
  PrintJson({{"version", file.version()},
             {"file_bytes", FileBytes(file)},
             {"alignment", file.alignment()},
             {"metadata", metadata},
             {"numerics", std::string(NumericsModeName(mode))},
             {"tensors", tensors},
             {"parameters", totals.elements},
             {"tensor_bytes", totals.bytes},
             {"packed_bytes", totals.packed_bytes},
             {"memory", JsonMemory(PlanHere(file))}},
            out);
}

absl::Status RunInspect(const std::string& path, bool json, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                          GgufFile::Open(path));
  const NumericsMode mode = DefaultNumericsMode(*file);
  if (json) {
    PrintJsonForm(*file, mode, io.out);
  } else {
    PrintText(*file, mode, io.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddInspectCommand(CLI::App* app, CommandLine* line) {
  struct InspectFlags {
    std::string path;
    bool json = false;
  };
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
  command->callback([flags, line] {
    line->run = [flags](const Io& io) {
      return RunInspect(flags->path, flags->json, io);
    };
  });
}

}  // namespace tandem::cli
