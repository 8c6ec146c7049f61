#include "tools/cost_worker/cost_worker.h"

#include <memory>
#include <utility>

#include "engine/gguf/gguf_file.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem::bench {

absl::StatusOr<WorkerModelParts> MakeCostWorkerParts(
    const CostWorkerOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                          GgufFile::Open(options.vocabulary_path));
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer,
                          Tokenizer::FromGguf(*file));
  WorkerModelParts parts;
  parts.info.role = options.role;
  parts.info.model_id = options.model_id;
  parts.info.vocabulary_fingerprint = tokenizer->vocabulary_fingerprint();
  parts.info.numerics = "int8";  // the protocol has no name for none
  parts.tokenizer_image = TokenizerImage(*file);
  parts.loop.streams_max = options.engine.sequences_max;
  TANDEM_ASSIGN_OR_RETURN(
      parts.engine, CostEngine::Create(std::move(tokenizer), options.engine));
  const EngineInfo& engine = parts.engine->info();
  parts.info.fingerprint = engine.fingerprint;
  parts.info.context_max = engine.context_max;
  parts.info.vocab_size = engine.vocab_size;
  return parts;
}

}  // namespace tandem::bench
