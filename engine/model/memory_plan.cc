#include "engine/model/memory_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/model/kv_layout.h"

namespace tandem {
namespace {

// More than any machine has: sums of these stay in 64 bits.
constexpr int64_t kBytesMax = int64_t{1} << 60;

std::string Bytes(int64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? absl::StrFormat("%.1f MiB", mib)
                    : absl::StrFormat("%.2f GiB", mib / 1024);
}

// At most kBytesMax; none is negative.
int64_t Multiply(int64_t a, int64_t b) {
  if (a != 0 && b > kBytesMax / a) return kBytesMax;
  return a * b;
}

int64_t Add(int64_t a, int64_t b) { return std::min(kBytesMax, a + b); }

// What the machine leaves, and which limit says so.
struct Room {
  int64_t bytes = kBytesMax;
  std::string limit = "unknown memory";
  bool is_shared = true;
};

Room FindRoom(const MachineMemory& machine) {
  Room room;
  // Reserved by this process and not in its memory yet.
  const int64_t own_unused =
      std::max<int64_t>(0, machine.planned_bytes - machine.resident_bytes);
  const auto consider = [&room](int64_t bytes, std::string limit, bool shared) {
    if (bytes >= room.bytes) return;
    room = {.bytes = bytes, .limit = std::move(limit), .is_shared = shared};
  };
  if (machine.available_bytes.has_value()) {
    const int64_t others = machine.others.unused_bytes;
    consider(*machine.available_bytes - own_unused - others,
             others == 0
                 ? "free memory of the machine"
                 : absl::StrCat("free memory of the machine, less ",
                                Bytes(others), " reserved by ",
                                machine.others.processes, " other processes"),
             true);
  }
  for (const GroupMemory& group : machine.groups) {
    consider(group.limit_bytes - group.held_bytes - own_unused -
                 group.reserved_bytes,
             absl::StrCat("limit ", Bytes(group.limit_bytes),
                          " of the control group ", group.group),
             !group.is_own);
  }
  if (machine.process_bytes_max > 0) {
    consider(machine.process_bytes_max -
                 std::max(machine.planned_bytes, machine.resident_bytes),
             absl::StrCat("--memory-max-bytes ", machine.process_bytes_max),
             false);
  }
  room.is_shared = room.is_shared || machine.more_to_come;
  return room;
}

// Memory of a pool of `pages` and of the positions that it makes possible.
int64_t PoolBytes(const ModelNeeds& needs, int64_t pages) {
  const int64_t positions = std::min<int64_t>(
      needs.context, Multiply(pages, needs.positions_per_page));
  return Add(Multiply(pages, needs.page_bytes),
             Multiply(positions, needs.position_bytes));
}

int64_t LeastPages(const ModelNeeds& needs) {
  if (needs.kv_tokens > 0) return KvLayout::PagesFor(needs.kv_tokens);
  return KvLayout::PagesFor(std::min<int64_t>(needs.context, kPlanTokensMin));
}

int64_t WantedPages(const ModelNeeds& needs) {
  if (needs.kv_tokens > 0) return KvLayout::PagesFor(needs.kv_tokens);
  return std::max(LeastPages(needs),
                  kPlanContexts * KvLayout::PagesFor(needs.context));
}

// The most pages, up to those wanted, whose pool takes at most `bytes`; whole
// contexts where one fits. At least the least.
int64_t PagesWithin(const ModelNeeds& needs, int64_t bytes) {
  int64_t low = LeastPages(needs);
  int64_t high = WantedPages(needs);
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (PoolBytes(needs, middle) <= bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const int64_t context = KvLayout::PagesFor(needs.context);
  return needs.kv_tokens == 0 && low >= context ? low / context * context : low;
}

int64_t FixedBytes(const ModelNeeds& needs) {
  return Add(needs.weight_bytes, needs.scratch_bytes);
}

struct Refusal {
  const Room& room;
  int64_t reserve = 0;
  int64_t needed = 0;
  absl::string_view what_helps = {};
};

absl::Status Refuse(const Refusal& refusal,
                    absl::Span<const ModelNeeds> needs) {
  std::string parts;
  bool asked = false;
  for (const ModelNeeds& model : needs) {
    const int64_t pages = LeastPages(model);
    absl::StrAppend(&parts, parts.empty() ? "" : "; ", model.model, ": ",
                    Bytes(model.weight_bytes), " of weights, ",
                    Bytes(model.scratch_bytes), " of scratch, ",
                    Bytes(PoolBytes(model, pages)), " of KV for ",
                    pages * kKvPageTokens, " tokens");
    asked |= model.kv_tokens > 0;
  }
  const std::string what_helps =
      !refusal.what_helps.empty()
          ? std::string(refusal.what_helps)
          : absl::StrCat(
                asked ? "a smaller" : "a small",
                " --kv-tokens or --context-max, a smaller quantisation, or "
                "more memory (limit of the container, --memory-max-bytes)");
  return Exhausted(
      absl::StrCat(refusal.needed, " bytes of memory are needed (", parts, "; ",
                   Bytes(refusal.reserve), " of reserve), ",
                   std::max<int64_t>(0, refusal.room.bytes), " are there (",
                   refusal.room.limit, "); what helps: ", what_helps));
}

}  // namespace

absl::StatusOr<MemoryPlan> PlanMemory(const MachineMemory& machine,
                                      absl::Span<const ModelNeeds> needs,
                                      absl::string_view what_helps) {
  const Room room = FindRoom(machine);
  const int64_t reserve =
      kPlanReserveBytes + std::max<int64_t>(0, room.bytes) / kPlanReserveShare;
  int64_t fixed = 0;
  int64_t least = 0;
  for (const ModelNeeds& model : needs) {
    fixed = Add(fixed, FixedBytes(model));
    least = Add(least, PoolBytes(model, LeastPages(model)));
  }
  const int64_t needed = Add(Add(fixed, least), reserve);
  if (needed > room.bytes) {
    return Refuse({.room = room,
                   .reserve = reserve,
                   .needed = needed,
                   .what_helps = what_helps},
                  needs);
  }

  MemoryPlan plan = {.models = std::vector<KvPlan>(needs.size()),
                     .room_bytes = room.bytes - reserve,
                     .limit = room.limit,
                     .is_shared = room.is_shared};
  int64_t left = plan.room_bytes - fixed;
  if (room.is_shared) left /= 2;
  // Each gets an equal part, in the order of what they want, so that what one
  // does not want is for the others; and never takes the least of those after
  // it.
  std::vector<size_t> order(needs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto wanted = [&needs](size_t i) {
    return PoolBytes(needs[i], WantedPages(needs[i]));
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return wanted(a) < wanted(b); });
  for (size_t i = 0; i < order.size(); ++i) {
    const ModelNeeds& model = needs[order[i]];
    least -= PoolBytes(model, LeastPages(model));
    const int64_t part = std::min<int64_t>(
        left / static_cast<int64_t>(order.size() - i), left - least);
    const int64_t pages = PagesWithin(model, part);
    const int64_t pool = PoolBytes(model, pages);
    left -= pool;
    plan.models[order[i]] = {.kv_tokens = pages * kKvPageTokens,
                             .kv_bytes = Multiply(pages, model.page_bytes),
                             .total_bytes = FixedBytes(model) + pool};
  }
  return plan;
}

std::string DescribePlan(const MemoryPlan& plan, const ModelNeeds& needs,
                         size_t index) {
  const KvPlan& model = plan.models[index];
  const int64_t contexts =
      model.kv_tokens / std::max<int64_t>(1, needs.context);
  const std::string why =
      needs.kv_tokens > 0 ? std::string("asked for")
      : contexts >= 1
          ? absl::StrCat(contexts,
                         contexts == 1 ? " whole context" : " whole contexts")
          : std::string("what fits");
  return absl::StrCat(
      "context ", needs.context, ", KV ", model.kv_tokens, " tokens (", why,
      "), weights ", Bytes(needs.weight_bytes), ", KV ", Bytes(model.kv_bytes),
      ", with scratch ", Bytes(model.total_bytes), " of ",
      Bytes(plan.room_bytes), " (", plan.limit,
      plan.is_shared ? "; half of what is left stays for others)" : ")");
}

}  // namespace tandem
