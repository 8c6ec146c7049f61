// What a drafter is asked for where a client asks the target for something. A
// pure function.

#ifndef TANDEM_ENGINE_SAMPLING_DRAFT_OPTIONS_H_
#define TANDEM_ENGINE_SAMPLING_DRAFT_OPTIONS_H_

#include "engine/sampling/gen_options.h"

namespace tandem {

// `options` for a drafter whose vocabulary has `vocab_size` tokens: ids that it
// lacks are left out, so that it refuses nothing, and so are
// log-probabilities, which nobody reads of a draft.
GenOptions OptionsForDrafter(GenOptions options, int vocab_size);

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_DRAFT_OPTIONS_H_
