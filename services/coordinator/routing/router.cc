#include "services/coordinator/routing/router.h"

#include <algorithm>
#include <utility>

#include "services/coordinator/routing/placement.h"

namespace tandem {
namespace {

WorkerChoice ToChoice(const WorkerInfo& worker, Position cached) {
  return {.link = worker.link,
          .name = worker.address,
          .model_id = worker.model_id,
          .fingerprint = worker.fingerprint,
          .vocabulary_fingerprint = worker.vocabulary_fingerprint,
          .context_max = worker.context_max,
          .vocab_size = worker.vocab_size,
          .cached = cached};
}

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

}  // namespace

// One pick. Everything it points to lives as long as the call.
struct Router::Search {
  const WorkerTable::Workers& workers;
  const SequenceNeed& need;
  std::function<bool(const WorkerInfo&)> fits;
  std::vector<std::string> avoid = {};
  std::vector<PrefixHolder> holders = {};

  Candidate ToCandidate(const WorkerInfo& worker) const {
    Candidate candidate{.load = worker.link->load(),
                        .costs = worker.link->costs(),
                        .cached = 0,
                        .avoided = Contains(avoid, worker.address)};
    if (need.last_worker.name == worker.address) {
      candidate.cached = need.last_worker.tokens;
    }
    for (const PrefixHolder& holder : holders) {
      if (holder.worker != worker.address) continue;
      candidate.cached = std::max(candidate.cached, holder.tokens);
    }
    return candidate;
  }
  bool IsHolder(const WorkerInfo& worker) const {
    return worker.address == need.last_worker.name ||
           std::any_of(holders.begin(), holders.end(),
                       [&worker](const PrefixHolder& holder) {
                         return holder.worker == worker.address;
                       });
  }
};

std::optional<WorkerChoice> Router::PickTarget(const TargetQuery& query) {
  const std::shared_ptr<const WorkerTable> table = workers_();
  Search search{.workers = table->TargetsOf(query.model_id),
                .need = query.need,
                .fits =
                    [&query](const WorkerInfo& worker) {
                      return (query.fingerprint.empty() ||
                              worker.fingerprint == query.fingerprint) &&
                             (query.vocabulary_fingerprint.empty() ||
                              worker.vocabulary_fingerprint ==
                                  query.vocabulary_fingerprint);
                    },
                .avoid = query.avoid};
  if (search.workers.empty()) return std::nullopt;
  // A turn that may begin on any fingerprint looks for the pool's usual one.
  const std::string& fingerprint = query.fingerprint.empty()
                                       ? search.workers[0]->fingerprint
                                       : query.fingerprint;
  search.holders = prefixes_.Find({.tenant = query.need.tenant,
                                   .fingerprint = fingerprint,
                                   .tokens = query.need.tokens});
  return Pick(search);
}

std::optional<WorkerChoice> Router::PickDrafter(const DrafterQuery& query) {
  const std::shared_ptr<const WorkerTable> table = workers_();
  Search search{.workers = table->DraftersOf(query.vocabulary_fingerprint),
                .need = query.need,
                .fits = [&query](const WorkerInfo& worker) {
                  return worker.context_max > query.context_min &&
                         worker.vocab_size >= query.vocab_size_min;
                }};
  if (search.workers.empty()) return std::nullopt;
  search.holders =
      prefixes_.Find({.tenant = query.need.tenant,
                      .fingerprint = search.workers[0]->fingerprint,
                      .tokens = query.need.tokens});
  return Pick(search);
}

void Router::OnComputed(const ComputedSequence& sequence) {
  prefixes_.Add({.tenant = sequence.tenant,
                 .fingerprint = sequence.fingerprint,
                 .tokens = sequence.tokens},
                sequence.worker);
  prefix_bytes_.store(static_cast<int64_t>(prefixes_.blocks()) *
                      PrefixMap::kBlockBytes);
}

std::optional<WorkerChoice> Router::Pick(const Search& search) {
  const Placement placement{
      .tokens = static_cast<Position>(search.need.tokens.size()),
      .tokens_max = search.need.tokens_max,
      .generated =
          std::clamp(search.need.generated_max, 1, kGeneratedExpected)};
  std::vector<const WorkerInfo*> workers = Draw(search);
  const bool is_whole = workers.size() == search.workers.size();
  for (bool all : {false, true}) {
    if (all) workers = search.workers;
    std::erase_if(workers, [&search](const WorkerInfo* worker) {
      return !search.fits(*worker);
    });
    std::vector<Candidate> candidates;
    bool any_good = false;
    for (const WorkerInfo* worker : workers) {
      candidates.push_back(search.ToCandidate(*worker));
      any_good |= !candidates.back().avoided &&
                  HasRoom(candidates.back().load, placement.tokens_max);
    }
    if (!any_good && !is_whole && !all) continue;
    if (candidates.empty()) return std::nullopt;
    const size_t best = ChooseCheapest(candidates, placement, &random_);
    return ToChoice(*workers[best], CachedTokens(candidates[best], placement));
  }
  return std::nullopt;
}

// The workers that may have KV of the sequence, and kDrawn others.
std::vector<const WorkerInfo*> Router::Draw(const Search& search) {
  const size_t all = search.workers.size();
  if (all <= kDrawn) return search.workers;
  std::vector<const WorkerInfo*> drawn;
  if (!search.holders.empty() || !search.need.last_worker.name.empty()) {
    for (const WorkerInfo* worker : search.workers) {
      if (search.IsHolder(*worker)) drawn.push_back(worker);
    }
  }
  const size_t holders = drawn.size();
  for (size_t tries = 0; tries < 2 * kDrawn; ++tries) {
    const WorkerInfo* const worker = search.workers[random_() % all];
    if (std::find(drawn.begin(), drawn.end(), worker) != drawn.end()) continue;
    drawn.push_back(worker);
    if (drawn.size() == std::min(all, holders + kDrawn)) break;
  }
  return drawn;
}

}  // namespace tandem
