#include "services/coordinator/turn/turn_context.h"

#include <utility>

#include "engine/speculation/speculator.h"

namespace tandem {

SequenceNeed NeedOf(const NeedSource& source, LastWorker last) {
  const int left =
      static_cast<int>(source.options.max_tokens - source.generated);
  return {.tenant = source.tenant,
          .tokens = source.tokens,
          .tokens_max = static_cast<Position>(source.tokens.size()) + left +
                        DraftLengthMax(source.options),
          .generated_max = left,
          .last_worker = std::move(last)};
}

TurnContext::TurnContext(EventLoop* event_loop,
                         WorkerDirectory* worker_directory,
                         const TurnLimits& turn_limits, TurnSetup turn_setup)
    : loop(event_loop),
      directory(worker_directory),
      limits(turn_limits),
      setup(std::move(turn_setup)),
      turn(setup.tokenizer.get(), std::move(setup.spec)) {}

int64_t TurnContext::MicrosSinceStart() const {
  return Micros(loop->Now() - started_at);
}

SequenceNeed TurnContext::Need(LastWorker last) const {
  return NeedOf({.tenant = setup.tenant,
                 .tokens = turn.session_tokens(),
                 .options = turn.options(),
                 .generated = turn.usage().generated_tokens},
                std::move(last));
}

}  // namespace tandem
