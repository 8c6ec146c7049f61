#include "tests/simulation/simulated_store.h"

#include <utility>

namespace tandem {

SimulatedStore::SimulatedStore(SimulatedNetwork* network,
                               MemoryStateStore* store, int faults_per_mille)
    : way_(std::make_shared<Way>(Way{.network = network,
                                     .store = store,
                                     .faults_per_mille = faults_per_mille,
                                     .up = {},
                                     .down = {}})) {}

template <typename Result, typename Call>
void SimulatedStore::Send(absl::AnyInvocable<void(Result)> done, Call call) {
  way_->network->Send(&way_->up, [way = way_, done = std::move(done),
                                  call = std::move(call)]() mutable {
    if (way->is_dead) return;
    const bool fails =
        way->faults_per_mille > 0 &&
        way->network->Draw(1000) < static_cast<uint64_t>(way->faults_per_mille);
    const bool happens = !fails || way->network->Draw(2) == 0;
    Result result = absl::UnavailableError("the simulated store is away");
    if (happens) {
      call(way->store, [&result, fails](Result answer) {
        if (!fails) result = std::move(answer);
      });
    }
    SimulatedNetwork::Wire* const down = &way->down;
    way->network->Send(down, [way, done = std::move(done),
                              result = std::move(result)]() mutable {
      if (!way->is_dead) done(std::move(result));
    });
  });
}

void SimulatedStore::BeginTurn(TurnBegin begin, Committed done) {
  Send<absl::Status>(std::move(done), [begin = std::move(begin)](
                                          StateStore* store, Committed answer) {
    store->BeginTurn(begin, std::move(answer));
  });
}

void SimulatedStore::AddTokens(TurnTokens tokens, Committed done) {
  Send<absl::Status>(std::move(done), [tokens = std::move(tokens)](
                                          StateStore* store, Committed answer) {
    store->AddTokens(tokens, std::move(answer));
  });
}

void SimulatedStore::EndTurn(TurnEnd end, Committed done) {
  Send<absl::Status>(std::move(done), [end = std::move(end)](StateStore* store,
                                                             Committed answer) {
    store->EndTurn(end, std::move(answer));
  });
}

void SimulatedStore::TakeOver(std::string session_id, std::string tenant,
                              Answer<StoredSession> done) {
  Send<absl::StatusOr<StoredSession>>(
      std::move(done), [id = std::move(session_id), tenant = std::move(tenant)](
                           StateStore* store, Answer<StoredSession> answer) {
        store->TakeOver(id, tenant, std::move(answer));
      });
}

void SimulatedStore::FindLost(std::vector<HeldSession> held,
                              Answer<std::vector<std::string>> done) {
  Send<absl::StatusOr<std::vector<std::string>>>(
      std::move(done),
      [held = std::move(held)](StateStore* store,
                               Answer<std::vector<std::string>> answer) {
        store->FindLost(held, std::move(answer));
      });
}

void SimulatedStore::Load(std::string session_id, Answer<StoredSession> done) {
  Send<absl::StatusOr<StoredSession>>(
      std::move(done), [id = std::move(session_id)](
                           StateStore* store, Answer<StoredSession> answer) {
        store->Load(id, std::move(answer));
      });
}

void SimulatedStore::List(SessionsOf which, std::string after,
                          Answer<std::vector<SessionSummary>> done) {
  Send<absl::StatusOr<std::vector<SessionSummary>>>(
      std::move(done),
      [which = std::move(which), after = std::move(after)](
          StateStore* store, Answer<std::vector<SessionSummary>> answer) {
        store->List(which, after, std::move(answer));
      });
}

void SimulatedStore::Delete(SessionsOf which, std::string session_id,
                            Committed done) {
  Send<absl::Status>(std::move(done),
                     [which = std::move(which), id = std::move(session_id)](
                         StateStore* store, Committed answer) {
                       store->Delete(which, id, std::move(answer));
                     });
}

void SimulatedStore::Prune(Retention retention, Answer<int64_t> done) {
  Send<absl::StatusOr<int64_t>>(
      std::move(done), [retention](StateStore* store, Answer<int64_t> answer) {
        store->Prune(retention, std::move(answer));
      });
}

}  // namespace tandem
