// The turns of a request with several choices: choice 0, and the others, which
// begin when choice 0 has its first token, so that the prompt's KV is there for
// them, with the same seed. Owned by whoever answers, and by the callbacks of
// events that are under way; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_CHOICE_TURNS_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_CHOICE_TURNS_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/client/client.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

class ChoiceTurns : public std::enable_shared_from_this<ChoiceTurns> {
 public:
  // An event of a choice, or its error; not after Cancel. By a thread of gRPC,
  // or inside Ask; events of several choices may come at once.
  using Listener =
      std::function<void(int choice, const client::NextEvent& event)>;

  // `request` is of no session; `client` outlives this. Choice 0 is started; it
  // alone has the scores of the prompt, where they are asked for.
  ChoiceTurns(client::Client* client, v1::TurnRequest request,
              const client::CallOptions& call, int count);

  int count() const { return count_; }
  // Asks for the next event of a choice, which goes to `listener`. Of choice 0
  // first; the first event of each other choice comes unasked, to the listener
  // of choice 0. Nothing where one is asked for already.
  void Ask(int choice, Listener listener);
  // Ends all turns; they are read to their ends, and nobody hears of them.
  void Cancel();

 private:
  struct Turn {
    std::shared_ptr<client::TurnStream> stream;
    bool is_asked = false;  // for an event
  };

  // Whether the event is for the listener.
  bool Take(int choice);
  void OnEvent(int choice, const client::NextEvent& event,
               const Listener& listener);
  // Takes what the others need of choice 0, and starts them when it is time.
  void OnFirstChoice(const client::Event& event, const Listener& listener);
  client::Client* const client_;
  const client::CallOptions call_;
  const int count_;
  absl::Mutex mutex_;
  v1::TurnRequest request_ ABSL_GUARDED_BY(mutex_);  // of the others
  std::vector<Turn> turns_ ABSL_GUARDED_BY(mutex_);
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_CHOICE_TURNS_H_
