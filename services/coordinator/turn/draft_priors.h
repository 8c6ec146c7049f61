// What sessions learned of drafting, for those that begin: by target model, so
// that a new session does not find out anew, at its client's cost, how often
// drafts are right there. Owned by the server; any thread may call.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_PRIORS_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_PRIORS_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "engine/speculation/draft_controller.h"

namespace tandem {

class DraftPriors {
 public:
  // Fingerprints that are kept; beyond, new ones are not.
  static constexpr size_t kFingerprintsMax = 256;
  static constexpr size_t kAccordsMax = 4096;

  // What the last turn on this target model ended with, at the weight of a few
  // rounds; a new controller where there was none. It takes along what turns
  // have saved to open drafters that do not pay, so that where all turns are
  // short one of them finds out now and then.
  DraftController Get(const std::string& fingerprint);
  void Put(const std::string& fingerprint, const DraftController& controller);

  // What the sessions on a target worker agree on, by its address. As long as
  // one of them has it, or nobody took more addresses than kAccordsMax.
  std::shared_ptr<DraftAccord> AccordOf(const std::string& target);

 private:
  // std::mutex: ThreadSanitizer does not see into Abseil's.
  std::mutex mutex_;
  std::map<std::string, DraftController> priors_;  // guarded by mutex_
  // Guarded by mutex_.
  std::map<std::string, std::shared_ptr<DraftAccord>> accords_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_PRIORS_H_
