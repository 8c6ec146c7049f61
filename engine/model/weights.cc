#include "engine/model/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/cpu_features.h"
#include "engine/base/hash.h"
#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_error.h"
#include "engine/kernels/weight_format.h"

namespace tandem {
namespace {

constexpr char kEmbeddings[] = "token_embd.weight";
constexpr char kHead[] = "output.weight";

bool IsFloat(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 ||
         type == TensorType::kBF16;
}

// Whether any of `count` words of type Word, `stride` bytes apart, has all the
// bits of `exponent` set: infinity or NaN.
template <typename Word>
bool AnyExponentFull(const uint8_t* data, int64_t count, int64_t stride,
                     Word exponent) {
  bool found = false;
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, data + i * stride, sizeof(word));
    found |= (word & exponent) == exponent;
  }
  return found;
}

// Whether any of `blocks` blocks of a float type, or any fp16 number of a
// quantised block, is NaN or infinity.
bool AnyNotFinite(TensorType type, const uint8_t* data, int64_t blocks) {
  const int64_t stride = GetTensorTypeInfo(type).block_bytes;
  if (type == TensorType::kF32) {
    return AnyExponentFull<uint32_t>(data, blocks, stride, 0x7f800000);
  }
  if (type == TensorType::kBF16) {
    return AnyExponentFull<uint16_t>(data, blocks, stride, 0x7f80);
  }
  constexpr uint16_t kHalfExponent = 0x7c00;
  const WeightFormat& format = *FindWeightFormat(type);
  bool found = false;
  for (int i = 0; i < format.halves; ++i) {
    found |= AnyExponentFull<uint16_t>(data + format.halves_offset + 2 * i,
                                       blocks, stride, kHalfExponent);
  }
  return found;
}

// "offset N: tensor 'NAME'", as in all messages about a file.
std::string Where(const GgufTensor& tensor) {
  return absl::StrCat("offset ", tensor.offset, ": tensor ",
                      QuoteForError(tensor.name));
}

std::string DimsText(const std::vector<uint64_t>& dims) {
  return absl::StrCat("[", absl::StrJoin(dims, ", "), "]");
}

}  // namespace

NumericsMode DefaultNumericsMode(const GgufFile& file) {
  bool all_quantised = true;
  bool all_bf16 = true;
  const bool tied = file.FindTensor(kHead) == nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    const bool multiplied =
        tensor.dims.size() == 2 && (tied || tensor.name != kEmbeddings);
    if (!multiplied) continue;
    all_quantised &= !IsFloat(tensor.type);
    all_bf16 &= tensor.type == TensorType::kBF16;
  }
  if (all_quantised) return NumericsMode::kInt8;
  if (all_bf16 && CpuHasBf16Matmul()) return NumericsMode::kBf16;
  return NumericsMode::kF32;
}

// One Load: takes the tensors one by one, in the order of the model.
class WeightsLoader {
 public:
  WeightsLoader(const GgufFile& file, const ModelConfig& config,
                const WeightsOptions& options)
      : file_(file), config_(config), options_(options) {
    for (const GgufTensor& tensor : file.tensors()) {
      bytes_total_ += tensor.bytes;
    }
  }

  absl::StatusOr<std::unique_ptr<ModelWeights>> Load();

 private:
  absl::Status LoadHead(ModelWeights* weights);
  absl::StatusOr<LayerWeights> LoadLayer(int64_t index);
  absl::StatusOr<AlignedBuffer<float>> LoadNorm(absl::string_view name);
  absl::StatusOr<Linear> LoadLinear(absl::string_view name, int64_t outputs,
                                    int64_t inputs);
  // The tensor `name`, with `dims`, checked and hashed.
  absl::StatusOr<const GgufTensor*> Take(absl::string_view name,
                                         const std::vector<uint64_t>& dims);
  absl::Status CheckFinite(const GgufTensor& tensor) const;
  absl::Status CheckAllTaken() const;
  // The tensor has been taken over.
  void FinishTensor(const GgufTensor& tensor);

  const GgufFile& file_;
  const ModelConfig& config_;
  const WeightsOptions& options_;
  Sha256 hash_;
  std::unordered_set<const GgufTensor*> taken_;
  uint64_t bytes_total_ = 0;
  uint64_t bytes_done_ = 0;
  int64_t bytes_held_ = 0;
  int64_t matrix_bytes_ = 0;
  int64_t matrix_macs_ = 0;
};

absl::StatusOr<std::unique_ptr<ModelWeights>> WeightsLoader::Load() {
  std::unique_ptr<ModelWeights> weights(new ModelWeights());
  weights->width_ = config_.width;
  TANDEM_RETURN_IF_ERROR(LoadHead(weights.get()));
  TANDEM_ASSIGN_OR_RETURN(weights->output_norm_,
                          LoadNorm("output_norm.weight"));
  for (int64_t i = 0; i < config_.layers; ++i) {
    TANDEM_ASSIGN_OR_RETURN(LayerWeights layer, LoadLayer(i));
    weights->layers_.push_back(std::move(layer));
  }
  TANDEM_RETURN_IF_ERROR(CheckAllTaken());
  weights->bytes_ = bytes_held_;
  weights->matrix_bytes_ = matrix_bytes_;
  weights->matrix_macs_ = matrix_macs_;
  weights->hash_ = hash_.HexDigest();
  return weights;
}

absl::Status WeightsLoader::LoadHead(ModelWeights* weights) {
  const uint64_t width = config_.width;
  const uint64_t vocab = config_.vocab_size;
  const bool tied = file_.FindTensor(kHead) == nullptr;
  TANDEM_ASSIGN_OR_RETURN(
      Linear head, LoadLinear(tied ? kEmbeddings : kHead, config_.vocab_size,
                              config_.width));
  weights->head_.emplace(std::move(head));
  if (tied) return absl::OkStatus();

  TANDEM_ASSIGN_OR_RETURN(const GgufTensor* table,
                          Take(kEmbeddings, {width, vocab}));
  const absl::Span<const uint8_t> data = file_.TensorData(*table);
  weights->embeddings_ = AlignedBuffer<uint8_t>(data.size());
  std::memcpy(weights->embeddings_.data(), data.data(), data.size());
  weights->embeddings_type_ = table->type;
  weights->embedding_row_bytes_ = static_cast<int64_t>(data.size() / vocab);
  bytes_held_ += static_cast<int64_t>(data.size());
  FinishTensor(*table);
  return absl::OkStatus();
}

absl::StatusOr<LayerWeights> WeightsLoader::LoadLayer(int64_t index) {
  const std::string prefix = absl::StrCat("blk.", index, ".");
  const int64_t width = config_.width;
  const int64_t ffn = config_.feed_forward_width;
  const auto norm = [&](absl::string_view name) {
    return LoadNorm(absl::StrCat(prefix, name, ".weight"));
  };
  const auto linear = [&](absl::string_view name, int64_t outputs,
                          int64_t inputs) {
    return LoadLinear(absl::StrCat(prefix, name, ".weight"), outputs, inputs);
  };
  const int64_t query_width = config_.query_width();
  const int64_t kv_width = config_.kv_width();
  TANDEM_ASSIGN_OR_RETURN(AlignedBuffer<float> attention_norm,
                          norm("attn_norm"));
  TANDEM_ASSIGN_OR_RETURN(Linear query, linear("attn_q", query_width, width));
  TANDEM_ASSIGN_OR_RETURN(Linear key, linear("attn_k", kv_width, width));
  TANDEM_ASSIGN_OR_RETURN(Linear value, linear("attn_v", kv_width, width));
  TANDEM_ASSIGN_OR_RETURN(Linear attention_output,
                          linear("attn_output", width, query_width));
  TANDEM_ASSIGN_OR_RETURN(AlignedBuffer<float> feed_forward_norm,
                          norm("ffn_norm"));
  TANDEM_ASSIGN_OR_RETURN(Linear gate, linear("ffn_gate", ffn, width));
  TANDEM_ASSIGN_OR_RETURN(Linear up, linear("ffn_up", ffn, width));
  TANDEM_ASSIGN_OR_RETURN(Linear down, linear("ffn_down", width, ffn));
  return LayerWeights{.attention_norm = std::move(attention_norm),
                      .query = std::move(query),
                      .key = std::move(key),
                      .value = std::move(value),
                      .attention_output = std::move(attention_output),
                      .feed_forward_norm = std::move(feed_forward_norm),
                      .gate = std::move(gate),
                      .up = std::move(up),
                      .down = std::move(down)};
}

absl::StatusOr<AlignedBuffer<float>> WeightsLoader::LoadNorm(
    absl::string_view name) {
  const uint64_t width = config_.width;
  TANDEM_ASSIGN_OR_RETURN(const GgufTensor* tensor, Take(name, {width}));
  if (!IsFloat(tensor->type)) {
    return UnsupportedModel(file_,
                            absl::StrCat(Where(*tensor), ": is a norm of type ",
                                         GetTensorTypeInfo(tensor->type).name,
                                         "; must be F32, F16 or BF16"));
  }
  AlignedBuffer<float> norm(width);
  Dequantize(tensor->type, file_.TensorData(*tensor).data(), config_.width,
             norm.data());
  FinishTensor(*tensor);
  return norm;
}

absl::StatusOr<Linear> WeightsLoader::LoadLinear(absl::string_view name,
                                                 int64_t outputs,
                                                 int64_t inputs) {
  TANDEM_ASSIGN_OR_RETURN(const GgufTensor* tensor,
                          Take(name, {static_cast<uint64_t>(inputs),
                                      static_cast<uint64_t>(outputs)}));
  absl::StatusOr<Linear> linear =
      Linear::Create({.name = tensor->name,
                      .type = tensor->type,
                      .data = file_.TensorData(*tensor),
                      .outputs = outputs,
                      .inputs = inputs},
                     options_.mode, options_.team);
  if (!linear.ok()) return Annotate(linear.status(), file_.name());
  bytes_held_ += linear->bytes();
  matrix_bytes_ += linear->bytes();
  matrix_macs_ += outputs * inputs;
  FinishTensor(*tensor);
  return linear;
}

absl::StatusOr<const GgufTensor*> WeightsLoader::Take(
    absl::string_view name, const std::vector<uint64_t>& dims) {
  const GgufTensor* tensor = file_.FindTensor(name);
  if (tensor == nullptr) {
    return MalformedModel(file_,
                          absl::StrCat("tensor '", name, "' is missing"));
  }
  if (tensor->dims != dims) {
    return MalformedModel(
        file_,
        absl::StrCat(Where(*tensor), ": has shape ", DimsText(tensor->dims),
                     ", the hyper-parameters ask for ", DimsText(dims)));
  }
  if (!IsSupportedWeightType(tensor->type)) {
    return UnsupportedModel(
        file_, absl::StrCat(Where(*tensor), ": has type ",
                            GetTensorTypeInfo(tensor->type).name,
                            ", which this build does not compute with"));
  }
  TANDEM_RETURN_IF_ERROR(CheckFinite(*tensor));
  taken_.insert(tensor);
  hash_.AddString(tensor->name);
  hash_.AddNumber(static_cast<uint64_t>(tensor->type));
  hash_.AddNumber(tensor->dims.size());
  for (uint64_t dim : tensor->dims) hash_.AddNumber(dim);
  hash_.AddBytes(file_.TensorData(*tensor));
  return tensor;
}

absl::Status WeightsLoader::CheckFinite(const GgufTensor& tensor) const {
  constexpr int64_t kGrain = 1 << 16;  // blocks
  const int64_t stride = GetTensorTypeInfo(tensor.type).block_bytes;
  const absl::Span<const uint8_t> data = file_.TensorData(tensor);
  const int64_t blocks = static_cast<int64_t>(data.size()) / stride;
  std::atomic<bool> found = false;
  options_.team->ParallelFor(blocks, kGrain, [&](int64_t begin, int64_t end) {
    if (AnyNotFinite(tensor.type, data.data() + begin * stride, end - begin)) {
      found = true;
    }
  });
  if (!found) return absl::OkStatus();
  return MalformedModel(file_,
                        absl::StrCat(Where(tensor), ": holds NaN or infinity"));
}

// A tensor that nothing reads would be part of what the model computes
// elsewhere (biases, RoPE factors), so it is refused rather than ignored.
absl::Status WeightsLoader::CheckAllTaken() const {
  for (const GgufTensor& tensor : file_.tensors()) {
    if (taken_.contains(&tensor)) continue;
    return UnsupportedModel(
        file_,
        absl::StrCat("tensor ", tensor.name, " at offset ", tensor.offset,
                     " is no part of a ", config_.architecture, " model of ",
                     config_.layers, " layers"));
  }
  return absl::OkStatus();
}

void WeightsLoader::FinishTensor(const GgufTensor& tensor) {
  file_.ReleaseTensorData(tensor);
  bytes_done_ += tensor.bytes;
  if (!options_.progress || bytes_total_ == 0) return;
  options_.progress(static_cast<double>(bytes_done_) /
                    static_cast<double>(bytes_total_));
}

absl::StatusOr<std::unique_ptr<ModelWeights>> ModelWeights::Load(
    const GgufFile& file, const ModelConfig& config,
    const WeightsOptions& options) {
  return WeightsLoader(file, config, options).Load();
}

void ModelWeights::EmbeddingRow(TokenId token, float* out) const {
  if (embedding_row_bytes_ == 0) {
    head_->DequantizeRow(token, out);
    return;
  }
  Dequantize(embeddings_type_,
             embeddings_.data() + token * embedding_row_bytes_, width_, out);
}

}  // namespace tandem
