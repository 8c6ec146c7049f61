#include "engine/model/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <initializer_list>
#include <unordered_set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/cpu_features.h"
#include "engine/base/hash.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_error.h"
#include "engine/kernels/weight_format.h"
#include "engine/model/config_reader.h"

namespace tandem {
namespace {

constexpr char kEmbeddings[] = "token_embd.weight";
constexpr char kHead[] = "output.weight";
// Of the buffer that one tensor after the other is read into; larger ones are
// given back, so that a load takes no more memory than the tensor in work.
constexpr size_t kKeptBytesMax = size_t{8} << 20;
// A tensor of as many bytes is hashed by a thread of its own, beside packing:
// half a millisecond of work, ten times what the thread takes to begin.
constexpr size_t kHashBesideBytes = size_t{1} << 20;

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

// "offset N: tensor 'NAME'", as in all messages about a file; with the file's
// number before it where it is not the first one of a split model.
std::string Where(const GgufTensor& tensor) {
  const std::string file =
      tensor.shard == 0 ? "" : absl::StrCat("file ", tensor.shard + 1, ": ");
  return absl::StrCat(file, "offset ", tensor.offset, ": tensor ",
                      QuoteForError(tensor.name));
}

// A matrix that a pass multiplies by: all but a table of embeddings that is not
// the head as well.
bool IsMultiplied(const GgufFile& file, const GgufTensor& tensor) {
  return tensor.dims.size() == 2 &&
         (tensor.name != kEmbeddings || file.FindTensor(kHead) == nullptr);
}

// How often Load cuts a matrix: query, key and value in one, or gate and up.
// Each part is a matrix of its own, whose rows are rounded up to whole tiles.
int64_t CutsOf(const GgufFile& file, const GgufTensor& tensor) {
  if (absl::StrContains(tensor.name, "attn_qkv")) return 2;
  if (!absl::StrContains(tensor.name, "ffn_up")) return 0;
  const std::string gate =
      absl::StrReplaceAll(tensor.name, {{"ffn_up", "ffn_gate"}});
  return file.FindTensor(gate) == nullptr ? 1 : 0;
}

std::string DimsText(const std::vector<uint64_t>& dims) {
  return absl::StrCat("[", absl::StrJoin(dims, ", "), "]");
}

}  // namespace

NumericsMode DefaultNumericsMode(const GgufFile& file) {
  bool any_quantised = false;
  bool any_float = false;
  bool all_bf16 = true;
  for (const GgufTensor& tensor : file.tensors()) {
    if (!IsMultiplied(file, tensor)) continue;
    const bool is_float = IsFloatWeightType(tensor.type);
    any_quantised |= !is_float;
    any_float |= is_float;
    all_bf16 &= tensor.type == TensorType::kBF16;
  }
  if (!any_float) return NumericsMode::kInt8;
  if (any_quantised) return NumericsMode::kInt8Float;
  if (all_bf16 && CpuHasBf16Matmul()) return NumericsMode::kBf16;
  return NumericsMode::kF32;
}

std::optional<int64_t> MatrixMemoryBytes(const GgufFile& file,
                                         const GgufTensor& tensor,
                                         NumericsMode mode) {
  if (tensor.dims.size() != 2 || !IsSupportedWeightType(tensor.type)) {
    return std::nullopt;
  }
  if (!IsMultiplied(file, tensor)) return static_cast<int64_t>(tensor.bytes);
  return PackedWeightBytes(tensor.type, static_cast<int64_t>(tensor.dims[1]),
                           static_cast<int64_t>(tensor.dims[0]), mode);
}

int64_t PlannedWeightBytes(const GgufFile& file, NumericsMode mode) {
  int64_t total = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.dims.size() == 1) {
      total += static_cast<int64_t>(tensor.dims[0] * sizeof(float));
    }
    const std::optional<int64_t> bytes = MatrixMemoryBytes(file, tensor, mode);
    if (!bytes.has_value()) continue;
    total += *bytes;
    const int64_t cuts = CutsOf(file, tensor);
    if (cuts == 0) continue;
    // One row is packed as one tile: each cut adds at most one.
    const int64_t inputs = static_cast<int64_t>(tensor.dims[0]);
    total +=
        cuts *
        PackedWeightBytes(tensor.type, /*outputs=*/1, inputs, mode).value_or(0);
  }
  return total;
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
  absl::Status LoadHead();
  absl::StatusOr<LayerWeights> LoadLayer(int64_t index);
  // One matrix of several that share their input.
  struct Part {
    absl::string_view name;
    int64_t outputs = 0;
    Linear* target = nullptr;
  };
  // From a tensor each or, where `fused` is not empty, from that one.
  absl::Status LoadInputs(const std::string& prefix, absl::string_view fused,
                          const std::vector<Part>& parts);
  absl::StatusOr<AlignedBuffer<float>> LoadVector(absl::string_view name,
                                                  int64_t count);
  absl::StatusOr<Linear> LoadLinear(absl::string_view name, int64_t outputs,
                                    int64_t inputs);
  absl::StatusOr<Linear> MakeLinear(const LinearSource& source);
  // Hashes the tensors that the config holds.
  absl::Status TakeRopeFactors();
  // The tensor `name`, with `dims`, read into data_ and checked. Its hash may
  // be computed beside what follows, until FinishTensor.
  absl::StatusOr<const GgufTensor*> Take(absl::string_view name,
                                         const std::vector<uint64_t>& dims);
  // Fills data_; no number of it is NaN or infinity.
  absl::Status ReadFinite(const GgufTensor& tensor);
  absl::Status CheckAllTaken() const;
  // The tensor has been taken over.
  void FinishTensor(const GgufTensor& tensor);

  const GgufFile& file_;
  const ModelConfig& config_;
  const WeightsOptions& options_;
  Sha256 hash_;
  std::unordered_set<const GgufTensor*> taken_;
  // Of the tensor that was taken last, until it is finished. All that is done
  // with a tensor is done with these bytes, whatever becomes of the file.
  absl::Span<const uint8_t> data_;
  HugePageBuffer buffer_;  // holds them
  std::future<void>
      hashing_;  // reads data_, and waits for its end when it goes
  uint64_t bytes_total_ = 0;
  uint64_t bytes_done_ = 0;
  std::unique_ptr<ModelWeights> weights_{new ModelWeights()};
};

absl::StatusOr<std::unique_ptr<ModelWeights>> WeightsLoader::Load() {
  weights_->width_ = config_.width;
  TANDEM_RETURN_IF_ERROR(LoadHead());
  TANDEM_ASSIGN_OR_RETURN(weights_->output_norm_,
                          LoadVector("output_norm.weight", config_.width));
  TANDEM_RETURN_IF_ERROR(TakeRopeFactors());
  for (int64_t i = 0; i < config_.layers; ++i) {
    TANDEM_ASSIGN_OR_RETURN(LayerWeights layer, LoadLayer(i));
    weights_->layers_.push_back(std::move(layer));
  }
  TANDEM_RETURN_IF_ERROR(CheckAllTaken());
  weights_->hash_ = hash_.HexDigest();
  return std::move(weights_);
}

absl::Status WeightsLoader::LoadHead() {
  const uint64_t width = config_.width;
  const uint64_t vocab = config_.vocab_size;
  const bool tied = file_.FindTensor(kHead) == nullptr;
  TANDEM_ASSIGN_OR_RETURN(weights_->head_,
                          LoadLinear(tied ? kEmbeddings : kHead,
                                     config_.vocab_size, config_.width));
  if (tied) return absl::OkStatus();

  TANDEM_ASSIGN_OR_RETURN(const GgufTensor* table,
                          Take(kEmbeddings, {width, vocab}));
  weights_->embeddings_ = AlignedBuffer<uint8_t>(data_.size());
  std::memcpy(weights_->embeddings_.data(), data_.data(), data_.size());
  weights_->embeddings_type_ = table->type;
  weights_->embedding_row_bytes_ = static_cast<int64_t>(data_.size() / vocab);
  weights_->bytes_ += static_cast<int64_t>(data_.size());
  FinishTensor(*table);
  return absl::OkStatus();
}

absl::Status WeightsLoader::TakeRopeFactors() {
  const RopeConfig& rope = config_.rope;
  std::vector<absl::string_view> names;
  if (!rope.long_factors.empty()) {
    names = {kRopeFactorsShort, kRopeFactorsLong};
  } else if (!rope.factors.empty()) {
    names = {kRopeFactors};
  }
  for (absl::string_view name : names) {
    TANDEM_ASSIGN_OR_RETURN(const GgufTensor* tensor,
                            Take(name, {static_cast<uint64_t>(rope.dims) / 2}));
    FinishTensor(*tensor);
  }
  return absl::OkStatus();
}

absl::StatusOr<LayerWeights> WeightsLoader::LoadLayer(int64_t index) {
  const std::string prefix = absl::StrCat("blk.", index, ".");
  const ModelFeatures& features = config_.features;
  const int64_t width = config_.width;
  const int64_t query_width = config_.query_width();
  const int64_t kv_width = config_.kv_width();
  const int64_t ffn = config_.feed_forward_width;
  const int64_t head_norms = features.head_norms ? config_.head_dim : 0;
  const int64_t post_norms = features.post_norms ? width : 0;
  LayerWeights layer;
  struct Vector {
    AlignedBuffer<float>* target;
    absl::string_view name;
    int64_t count;  // 0: the architecture has none
  };
  const auto load_vectors =
      [&](std::initializer_list<Vector> vectors) -> absl::Status {
    for (const auto& [target, name, count] : vectors) {
      if (count == 0) continue;
      TANDEM_ASSIGN_OR_RETURN(*target,
                              LoadVector(absl::StrCat(prefix, name), count));
    }
    return absl::OkStatus();
  };
  // In this order, which the hash of the tensors follows.
  TANDEM_RETURN_IF_ERROR(
      load_vectors({{&layer.attention_norm, "attn_norm.weight", width}}));
  TANDEM_RETURN_IF_ERROR(LoadInputs(prefix,
                                    features.fused_inputs ? "attn_qkv" : "",
                                    {{"attn_q", query_width, &layer.query},
                                     {"attn_k", kv_width, &layer.key},
                                     {"attn_v", kv_width, &layer.value}}));
  TANDEM_RETURN_IF_ERROR(load_vectors(
      {{&layer.query_bias, "attn_q.bias",
        features.qkv_biases ? query_width : 0},
       {&layer.key_bias, "attn_k.bias", features.qkv_biases ? kv_width : 0},
       {&layer.value_bias, "attn_v.bias", features.qkv_biases ? kv_width : 0},
       {&layer.query_norm, "attn_q_norm.weight", head_norms},
       {&layer.key_norm, "attn_k_norm.weight", head_norms}}));
  TANDEM_ASSIGN_OR_RETURN(layer.attention_output,
                          LoadLinear(absl::StrCat(prefix, "attn_output.weight"),
                                     width, query_width));
  TANDEM_RETURN_IF_ERROR(load_vectors(
      {{&layer.post_attention_norm, "post_attention_norm.weight", post_norms},
       {&layer.feed_forward_norm, "ffn_norm.weight", width}}));
  TANDEM_RETURN_IF_ERROR(
      LoadInputs(prefix, features.fused_inputs ? "ffn_up" : "",
                 {{"ffn_gate", ffn, &layer.gate}, {"ffn_up", ffn, &layer.up}}));
  TANDEM_ASSIGN_OR_RETURN(
      layer.down,
      LoadLinear(absl::StrCat(prefix, "ffn_down.weight"), width, ffn));
  TANDEM_RETURN_IF_ERROR(load_vectors(
      {{&layer.post_feed_forward_norm, "post_ffw_norm.weight", post_norms}}));
  return layer;
}

absl::StatusOr<AlignedBuffer<float>> WeightsLoader::LoadVector(
    absl::string_view name, int64_t count) {
  TANDEM_ASSIGN_OR_RETURN(const GgufTensor* tensor,
                          Take(name, {static_cast<uint64_t>(count)}));
  if (!IsFloatWeightType(tensor->type)) {
    return UnsupportedModel(
        file_, absl::StrCat(Where(*tensor), ": is a vector of type ",
                            GetTensorTypeInfo(tensor->type).name,
                            "; must be F32, F16 or BF16"));
  }
  AlignedBuffer<float> vector(count);
  Dequantize(tensor->type, data_.data(), count, vector.data());
  weights_->bytes_ += count * static_cast<int64_t>(sizeof(float));
  FinishTensor(*tensor);
  return vector;
}

absl::Status WeightsLoader::LoadInputs(const std::string& prefix,
                                       absl::string_view fused,
                                       const std::vector<Part>& parts) {
  if (fused.empty()) {
    for (const Part& part : parts) {
      TANDEM_ASSIGN_OR_RETURN(
          *part.target, LoadLinear(absl::StrCat(prefix, part.name, ".weight"),
                                   part.outputs, config_.width));
    }
    return absl::OkStatus();
  }
  uint64_t outputs = 0;
  for (const Part& part : parts) outputs += part.outputs;
  const uint64_t width = config_.width;
  TANDEM_ASSIGN_OR_RETURN(
      const GgufTensor* tensor,
      Take(absl::StrCat(prefix, fused, ".weight"), {width, outputs}));
  // Rows are whole blocks, so the parts are slices of the bytes.
  const size_t row_bytes = data_.size() / outputs;
  size_t begin = 0;
  for (const Part& part : parts) {
    const size_t bytes = row_bytes * part.outputs;
    TANDEM_ASSIGN_OR_RETURN(*part.target,
                            MakeLinear({.name = tensor->name,
                                        .type = tensor->type,
                                        .data = data_.subspan(begin, bytes),
                                        .outputs = part.outputs,
                                        .inputs = config_.width}));
    begin += bytes;
  }
  FinishTensor(*tensor);
  return absl::OkStatus();
}

absl::StatusOr<Linear> WeightsLoader::LoadLinear(absl::string_view name,
                                                 int64_t outputs,
                                                 int64_t inputs) {
  TANDEM_ASSIGN_OR_RETURN(const GgufTensor* tensor,
                          Take(name, {static_cast<uint64_t>(inputs),
                                      static_cast<uint64_t>(outputs)}));
  TANDEM_ASSIGN_OR_RETURN(Linear linear, MakeLinear({.name = tensor->name,
                                                     .type = tensor->type,
                                                     .data = data_,
                                                     .outputs = outputs,
                                                     .inputs = inputs}));
  FinishTensor(*tensor);
  return linear;
}

absl::StatusOr<Linear> WeightsLoader::MakeLinear(const LinearSource& source) {
  absl::StatusOr<Linear> linear =
      Linear::Create(source, options_.mode, options_.team);
  if (!linear.ok()) return Annotate(linear.status(), file_.name());
  weights_->bytes_ += linear->bytes();
  weights_->matrix_bytes_ += linear->bytes();
  weights_->matrix_macs_ += source.outputs * source.inputs;
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
  TANDEM_RETURN_IF_ERROR(ReadFinite(*tensor));
  taken_.insert(tensor);
  hash_.AddString(tensor->name);
  hash_.AddNumber(static_cast<uint64_t>(tensor->type));
  hash_.AddNumber(tensor->dims.size());
  for (uint64_t dim : tensor->dims) hash_.AddNumber(dim);
  const auto add_data = [this] { hash_.AddBytes(data_); };
  if (data_.size() < kHashBesideBytes) {
    add_data();
  } else {
    hashing_ = std::async(std::launch::async, add_data);
  }
  return tensor;
}

absl::Status WeightsLoader::ReadFinite(const GgufTensor& tensor) {
  // Blocks that are read at a time: at most 14 MB, 256 KB of the least type.
  constexpr int64_t kGrain = 1 << 16;
  // Bytes that are read before they are looked at, in the second-level cache.
  constexpr int64_t kPieceBytes = 256 << 10;
  const int64_t stride = GetTensorTypeInfo(tensor.type).block_bytes;
  const int64_t blocks = static_cast<int64_t>(tensor.bytes) / stride;
  const int64_t piece = kPieceBytes / stride;
  // Kept for the next tensor where that fits: new memory would be cleared
  // first, which takes longer than reading it.
  if (buffer_.size() < tensor.bytes) {
    buffer_ = HugePageBuffer();
    buffer_ = HugePageBuffer(tensor.bytes);
  }
  data_ = {buffer_.data(), tensor.bytes};
  std::atomic<bool> found = false;
  absl::Mutex mutex;
  absl::Status status;
  options_.team->ParallelFor(blocks, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += piece) {
      const int64_t count = std::min(piece, end - at);
      uint8_t* const bytes = buffer_.data() + at * stride;
      const absl::Status read =
          file_.ReadTensor(tensor, static_cast<uint64_t>(at * stride),
                           absl::MakeSpan(bytes, count * stride));
      if (!read.ok()) {
        const absl::MutexLock lock(&mutex);
        status.Update(read);
        return;
      }
      if (AnyNotFinite(tensor.type, bytes, count)) found = true;
    }
  });
  TANDEM_RETURN_IF_ERROR(status);
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
  if (hashing_.valid()) hashing_.get();
  if (buffer_.size() > kKeptBytesMax) buffer_ = HugePageBuffer();
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
    head_.DequantizeRow(token, out);
    return;
  }
  Dequantize(embeddings_type_,
             embeddings_.data() + token * embedding_row_bytes_, width_, out);
}

}  // namespace tandem
