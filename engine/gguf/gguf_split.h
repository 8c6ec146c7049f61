// A model in several files: NAME-00001-of-00003.gguf and so on, as llama.cpp's
// gguf-split writes them. The first file has the metadata; each has some of
// the tensors, and says by split.no, split.count and split.tensors.count where
// it belongs. Private to this folder; used up inside GgufFile::Open.

#ifndef TANDEM_ENGINE_GGUF_GGUF_SPLIT_H_
#define TANDEM_ENGINE_GGUF_GGUF_SPLIT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

// Files of one model at most: each one is open until the model is read.
inline constexpr uint64_t kGgufShardsMax = 1024;

// What the name of one of several files says.
struct GgufShardName {
  std::string stem;     // the path up to "-00001-of-00003.gguf"
  uint64_t number = 0;  // from 1
  uint64_t count = 0;

  // Nothing for a path of another form.
  static std::optional<GgufShardName> Parse(absl::string_view path);
  std::string Path() const;
};

class GgufSplit {
 public:
  // Opens the other files of the model whose first one is `file`, checks that
  // they belong together, and gives `file` their tensors. Nothing happens
  // where `file` is a whole model. Errors: INVALID_ARGUMENT with
  // MALFORMED_FILE, which names the file, the key or the tensor; as
  // GgufFile::Open where a file is missing.
  static absl::Status AddShards(GgufFile* file);

  // OK where `file` is a whole model.
  static absl::Status CheckWhole(const GgufFile& file);

 private:
  explicit GgufSplit(GgufFile* first) : first_(first) {}

  absl::Status ReadFirst();
  // File number `number` (from 0) of the model.
  absl::Status AddShard(uint64_t number);
  absl::Status CheckShard(const GgufFile& shard, uint64_t number) const;
  absl::Status TakeTensors(uint64_t number, GgufFile* shard);

  GgufFile* first_;
  GgufShardName name_;
  uint64_t count_ = 0;
  uint64_t tensors_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_SPLIT_H_
