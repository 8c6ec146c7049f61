// What a worker must answer: one SequenceDecoder run alone over a fake engine.

#ifndef TANDEM_TESTS_SERVICES_WORKER_DECODER_ALONE_H_
#define TANDEM_TESTS_SERVICES_WORKER_DECODER_ALONE_H_

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/session/sequence_decoder.h"

namespace tandem {

class DecoderAlone {
 public:
  // `engine` is closed with this.
  DecoderAlone(std::unique_ptr<Engine> engine, SequenceDecoderOptions options);

  std::vector<SampledToken> Propose(Position position,
                                    absl::Span<const TokenId> tokens,
                                    int draft_length);
  std::vector<SampledToken> Verify(Position position,
                                   absl::Span<const TokenId> tokens,
                                   absl::Span<const TokenId> draft);

 private:
  std::vector<SampledToken> Finish();

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SequenceDecoder> decoder_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_WORKER_DECODER_ALONE_H_
