// A request with several choices as the body of a stream: chunks of all
// choices, as they come. Of each choice one event waits for the socket, and the
// next is asked for when that was taken. Such a stream can not be resumed: its
// turns end with it. Owned by the connection that sends it, and by the
// callbacks of events that are under way.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_CHOICES_SOURCE_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_CHOICES_SOURCE_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/client/client.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/openai/stream_writer.h"
#include "services/gateway/server/choice_turns.h"
#include "services/gateway/server/gateway_metrics.h"
#include "services/gateway/server/token_text_cache.h"

namespace tandem::gateway {

class ChoicesSource final : public EventSource,
                            public std::enable_shared_from_this<ChoicesSource> {
 public:
  struct Parts {
    std::shared_ptr<ChoiceTurns> turns;
    ReplyFormat format;
    client::CallOptions call;
    // They outlive the source.
    TokenTextCache* texts = nullptr;
    GatewayMetrics* metrics = nullptr;
  };

  explicit ChoicesSource(Parts parts);
  ~ChoicesSource() override;

  // Takes choice 0's first event, which was read already. Once, first.
  void Begin(const v1::TurnStarted& started);

  void Next(Done done) override;
  void Leave() override;
  std::string StopText() const override;

 private:
  struct Piece {
    int choice = 0;
    std::string bytes;
    bool asks = true;  // for the choice's next event, when it is taken
  };

  void Ask(int choice);
  void OnEvent(int choice, const client::NextEvent& event);
  // Of choice 0.
  void OnPrompt(const v1::PromptScored& more);
  void OnTokens(int choice, const v1::TokensGenerated& tokens);
  void OnEnded(int choice, const v1::TurnEnded& ended);
  // The end of all of them.
  void Fail(int choice, const absl::Status& status);
  void Put(Piece piece);
  // Hands a piece that is there to who waits for one.
  void Flush();
  void Hand(Piece piece, const Done& done);
  StreamWriter* writer(int choice) const {
    return writers_[static_cast<size_t>(choice)].get();
  }

  const Parts parts_;
  // Each belongs to the callback of its choice's event.
  std::vector<std::unique_ptr<StreamWriter>> writers_;
  // All of it, with the texts of its tokens, when the others begin.
  v1::PromptScored prompt_;
  TokenTexts prompt_texts_;
  absl::Mutex mutex_;
  std::deque<Piece> ready_ ABSL_GUARDED_BY(mutex_);
  Done waiting_ ABSL_GUARDED_BY(mutex_);
  int open_ ABSL_GUARDED_BY(mutex_);              // choices that have not ended
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;  // nothing more is put
  v1::Usage usage_ ABSL_GUARDED_BY(mutex_);       // of those that have ended
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_CHOICES_SOURCE_H_
