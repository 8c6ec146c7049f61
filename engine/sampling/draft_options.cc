#include "engine/sampling/draft_options.h"

#include <vector>

namespace tandem {

GenOptions OptionsForDrafter(GenOptions options, int vocab_size) {
  options.logprobs.reset();
  std::erase_if(options.logit_bias, [vocab_size](const LogitBias& bias) {
    return bias.id >= vocab_size;
  });
  std::erase_if(options.stop_token_ids,
                [vocab_size](TokenId id) { return id >= vocab_size; });
  return options;
}

}  // namespace tandem
