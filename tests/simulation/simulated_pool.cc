#include "tests/simulation/simulated_pool.h"

#include <set>
#include <utility>

#include "engine/base/check.h"
#include "tests/services/coordinator/fake_model.h"

namespace tandem {
namespace {

constexpr std::chrono::seconds kResolveEvery(5);
constexpr std::chrono::milliseconds kConnectTime(20);
constexpr std::chrono::milliseconds kConnectAgain(500);
constexpr Position kContextMax = 100000;

}  // namespace

SimulatedPool::SimulatedPool(SimulatedNetwork* network, SimulatedWorld world)
    : network_(network), world_(std::move(world)) {
  for (const char* name : {"dns:///targets:1", "dns:///drafts:1"}) {
    absl::StatusOr<AddressBook> book =
        AddressBook::Parse(std::vector<std::string>{name});
    TANDEM_CHECK(book.ok());
    groups_.push_back({.book = *std::move(book), .slots = {}});
  }
}

void SimulatedPool::Start() {
  if (stopped_) return;
  Resolve();
  network_->After(network_->Jittered(kResolveEvery), [this] { Start(); });
}

void SimulatedPool::Resolve() {
  for (Group& group : groups_) {
    (void)group.book.OnResolved(0, world_.resolve(group.book.names()[0].host));
    Reconcile(&group,
              &group == &groups_[0] ? WorkerRole::kTarget : WorkerRole::kDraft);
  }
}

void SimulatedPool::Reconcile(Group* group, WorkerRole role) {
  std::set<std::string> listed;
  for (const NamedAddress& address : group->book.Addresses()) {
    listed.insert(address.address);
    std::shared_ptr<Slot>& slot = group->slots[address.address];
    if (slot != nullptr) continue;
    slot = MakeSlot(address.address, role);
    Connect(slot);
  }
  for (auto it = group->slots.begin(); it != group->slots.end();) {
    Slot& slot = *it->second;
    slot.leaving = !listed.contains(it->first);
    if (slot.leaving && slot.link->own_streams() == 0) {
      it = group->slots.erase(it);
    } else {
      ++it;
    }
  }
  table_ = nullptr;
}

std::shared_ptr<SimulatedPool::Slot> SimulatedPool::MakeSlot(
    const std::string& address, WorkerRole role) {
  SimulatedWorker* const worker = world_.find(address);
  TANDEM_CHECK(worker != nullptr);
  auto slot = std::make_shared<Slot>();
  slot->link = std::make_shared<SimulatedLink>(network_, worker);
  const bool is_target = role == WorkerRole::kTarget;
  slot->info.address = address;
  slot->info.role = role;
  slot->info.model_id = is_target ? kSimulatedModel : "fake-draft";
  slot->info.fingerprint = is_target ? "fp" : "draft-fp";
  slot->info.vocabulary_fingerprint = FakeTokenizer()->vocabulary_fingerprint();
  slot->info.context_max = kContextMax;
  slot->info.vocab_size = FakeTokenizer()->vocab_size();
  slot->info.tokenizer = FakeTokenizer();
  slot->info.link = slot->link;
  return slot;
}

// Tries until it is there; again when it is lost, while the slot is.
void SimulatedPool::Connect(const std::shared_ptr<Slot>& slot) {
  const std::weak_ptr<Slot> weak = slot;
  network_->After(network_->Jittered(kConnectTime), [this, weak] {
    const std::shared_ptr<Slot> it = weak.lock();
    if (it == nullptr || stopped_) return;
    if (!it->link->worker()->alive()) {
      network_->After(network_->Jittered(kConnectAgain), [this, weak] {
        if (const std::shared_ptr<Slot> again = weak.lock()) Connect(again);
      });
      return;
    }
    it->info.usable = true;
    table_ = nullptr;
    it->link->Watch([this, weak](bool draining, bool gone) {
      const std::shared_ptr<Slot> watched = weak.lock();
      if (watched == nullptr) return;
      WorkerInfo& info = watched->info;
      if (info.draining == draining && !gone) return;
      info.draining = draining;
      info.usable = !gone;
      table_ = nullptr;
      if (gone) Connect(watched);
    });
  });
}

std::shared_ptr<const WorkerTable> SimulatedPool::Workers() {
  if (table_ == nullptr) {
    std::vector<WorkerInfo> workers;
    for (const Group& group : groups_) {
      for (const auto& [address, slot] : group.slots) {
        if (!slot->leaving) workers.push_back(slot->info);
      }
    }
    table_ = std::make_shared<const WorkerTable>(
        std::move(workers), std::set<std::string>{kSimulatedModel});
  }
  return table_;
}

int SimulatedPool::own_streams() const {
  int streams = 0;
  for (const Group& group : groups_) {
    for (const auto& [address, slot] : group.slots) {
      streams += slot->link->own_streams();
    }
  }
  return streams;
}

}  // namespace tandem
