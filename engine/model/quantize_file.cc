#include "engine/model/quantize_file.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "engine/gguf/gguf_error.h"
#include "engine/gguf/gguf_output.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/weight_format.h"
#include "engine/kernels/weight_quantizer.h"

namespace tandem {
namespace {

constexpr char kEmbeddings[] = "token_embd.weight";
constexpr char kHead[] = "output.weight";
// Keys that tell how a model is split into files; what is written is one.
constexpr char kSplitKeys[] = "split.";
// Elements made and written at a time; a multiple of every block.
constexpr int64_t kChunkElements = int64_t{1} << 20;
constexpr float kMagnitudeMax = 65504;  // the largest fp16

// Layer N of "blk.N.REST", or nothing.
std::optional<int64_t> LayerOf(absl::string_view tensor) {
  if (!absl::ConsumePrefix(&tensor, "blk.")) return std::nullopt;
  int64_t layer = 0;
  const std::vector<absl::string_view> parts = absl::StrSplit(tensor, '.');
  if (!absl::SimpleAtoi(parts[0], &layer)) return std::nullopt;
  return layer;
}

bool IsHead(absl::string_view tensor, bool tied) {
  return tensor == (tied ? kEmbeddings : kHead);
}

int64_t LayersOf(const GgufFile& file) {
  int64_t layers = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    layers = std::max(layers, LayerOf(tensor.name).value_or(-1) + 1);
  }
  return layers;
}

// What `type` stands for in one matrix. The head decides every token, so it
// gets more bits than four; rows that are no whole number of blocks get the
// next type up that they fit.
TensorType MatrixType(TensorType type, const GgufTensor& tensor, int64_t layers,
                      bool tied) {
  if (type == TensorType::kQ4_K) {
    type = Q4KMediumType(tensor.name, layers, tied);
  } else if (type == TensorType::kQ4_0 && IsHead(tensor.name, tied)) {
    type = TensorType::kQ6_K;
  }
  for (const TensorType fitting : {type, TensorType::kQ8_0}) {
    if (tensor.dims[0] % GetTensorTypeInfo(fitting).block_elements == 0) {
      return fitting;
    }
  }
  return TensorType::kF16;
}

// general.file_type: the numbers of llama.cpp (MOSTLY_Q8_0 and so on).
uint32_t FileType(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return 2;
    case TensorType::kQ8_0:
      return 7;
    default:
      TANDEM_CHECK(type == TensorType::kQ4_K);
      return 15;  // MOSTLY_Q4_K_M
  }
}

absl::Status Refuse(const GgufFile& file, const GgufTensor& tensor,
                    absl::string_view what) {
  return UnsupportedModel(absl::StrCat(file.name(), ": offset ", tensor.offset,
                                       ": tensor ", QuoteForError(tensor.name),
                                       ": ", what));
}

// One QuantizeFile.
class FileQuantizer {
 public:
  FileQuantizer(const GgufFile& input, const QuantizeOptions& options)
      : input_(input),
        options_(options),
        layers_(LayersOf(input)),
        tied_(input.FindTensor(kHead) == nullptr) {}

  absl::Status Write(const std::string& path);

 private:
  absl::StatusOr<TensorType> TypeFor(const GgufTensor& tensor) const;
  absl::Status WriteTensor(const GgufTensor& tensor, TensorType type,
                           GgufOutput* output);

  const GgufFile& input_;
  const QuantizeOptions& options_;
  const int64_t layers_;
  const bool tied_;
  std::vector<uint8_t> input_chunk_;
  std::vector<uint8_t> chunk_;
  uint64_t elements_done_ = 0;
  uint64_t elements_total_ = 0;
};

absl::StatusOr<TensorType> FileQuantizer::TypeFor(
    const GgufTensor& tensor) const {
  const TensorTypeInfo from = GetTensorTypeInfo(tensor.type);
  if (!IsSupportedWeightType(tensor.type) || from.block_elements != 1) {
    return Refuse(input_, tensor,
                  absl::StrCat("is ", from.name,
                               "; only F32, F16 and BF16 are quantised"));
  }
  if (tensor.dims.size() == 1) return TensorType::kF32;
  return MatrixType(options_.type, tensor, layers_, tied_);
}

absl::Status FileQuantizer::Write(const std::string& path) {
  GgufWriter writer;
  for (const GgufEntry& entry : input_.entries()) {
    if (entry.key == "general.file_type" ||
        entry.key == "general.quantization_version" ||
        absl::StartsWith(entry.key, kSplitKeys)) {
      continue;
    }
    writer.CopyEntry(entry);
  }
  writer.SetUint32("general.file_type", FileType(options_.type));
  writer.SetUint32("general.quantization_version", 2);  // of ggml's blocks
  std::vector<TensorType> types;
  for (const GgufTensor& tensor : input_.tensors()) {
    TANDEM_ASSIGN_OR_RETURN(const TensorType type, TypeFor(tensor));
    types.push_back(type);
    writer.DeclareTensor(tensor.name, type, tensor.dims);
    elements_total_ += tensor.elements();
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufOutput> output,
                          GgufOutput::Create(path, writer));
  for (size_t i = 0; i < types.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(
        WriteTensor(input_.tensors()[i], types[i], output.get()));
  }
  TANDEM_RETURN_IF_ERROR(input_.CheckUnchanged());
  return output->Finish();
}

absl::Status FileQuantizer::WriteTensor(const GgufTensor& tensor,
                                        TensorType type, GgufOutput* output) {
  const int64_t elements = static_cast<int64_t>(tensor.elements());
  const int64_t block = GetTensorTypeInfo(type).block_elements;
  std::atomic<bool> out_of_range = false;
  for (int64_t begin = 0; begin < elements; begin += kChunkElements) {
    const int64_t count = std::min(kChunkElements, elements - begin);
    input_chunk_.resize(WeightBytes(tensor.type, count));
    TANDEM_RETURN_IF_ERROR(input_.ReadTensor(
        tensor, WeightBytes(tensor.type, begin), absl::MakeSpan(input_chunk_)));
    chunk_.resize(WeightBytes(type, count));
    // Units of whole blocks, so that members share no byte.
    constexpr int64_t kBlocksAtOnce = 16;
    options_.team->ParallelFor(
        count / block, kBlocksAtOnce, [&](int64_t from, int64_t to) {
          std::vector<float> x((to - from) * block);
          const int64_t first = from * block;
          Dequantize(tensor.type,
                     input_chunk_.data() + WeightBytes(tensor.type, first),
                     static_cast<int64_t>(x.size()), x.data());
          for (float& value : x) {
            if (std::abs(value) <= kMagnitudeMax) continue;
            out_of_range = true;  // NaN too
            value = 0;
          }
          QuantizeWeights(type, x.data(), static_cast<int64_t>(x.size()),
                          chunk_.data() + WeightBytes(type, first));
        });
    if (out_of_range) {
      return GgufError(input_.name(), tensor.offset,
                       absl::StrCat("tensor ", QuoteForError(tensor.name)),
                       "holds NaN, infinity or a number above 65504");
    }
    TANDEM_RETURN_IF_ERROR(output->Append(chunk_));
    elements_done_ += count;
    if (options_.progress) {
      options_.progress(static_cast<double>(elements_done_) /
                        static_cast<double>(elements_total_));
    }
  }
  return output->EndTensor();
}

}  // namespace

TensorType Q4KMediumType(absl::string_view tensor, int64_t layers, bool tied) {
  if (IsHead(tensor, tied)) return TensorType::kQ6_K;
  const std::optional<int64_t> layer = LayerOf(tensor);
  if (!layer.has_value()) return TensorType::kQ4_K;
  const bool sensitive = absl::EndsWith(tensor, ".attn_v.weight") ||
                         absl::EndsWith(tensor, ".ffn_down.weight");
  const int64_t eighth = layers / 8;
  const bool chosen =
      *layer < eighth || *layer >= 7 * layers / 8 || (*layer - eighth) % 3 == 2;
  return sensitive && chosen ? TensorType::kQ6_K : TensorType::kQ4_K;
}

absl::Status QuantizeFile(const GgufFile& input, const std::string& path,
                          const QuantizeOptions& options) {
  return FileQuantizer(input, options).Write(path);
}

}  // namespace tandem
