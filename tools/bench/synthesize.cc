#include "tools/bench/synthesize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/thread_team.h"
#include "engine/gguf/gguf_output.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/kernels/float_math.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/weight_format.h"
#include "engine/kernels/weight_quantizer.h"
#include "engine/model/quantize_file.h"

namespace tandem::bench {
namespace {

// Elements made and written at a time; a multiple of every block.
constexpr int64_t kChunkElements = int64_t{1} << 22;
// How far apart the logits lie: standard deviation of a row. With a vocabulary
// of 32,000 the most likely token then has about half of the probability, as
// in text.
constexpr double kLogitDeviation = 4;
// Special tokens: unknown, begin, end.
constexpr int kSpecialTokens = 3;
constexpr int kByteTokens = 256;

struct Tensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> dims;
  double deviation = 0;  // standard deviation of the elements; 0: all one

  int64_t elements() const {
    int64_t product = 1;
    for (const uint64_t dim : dims) product *= static_cast<int64_t>(dim);
    return product;
  }
};

// A well mixed function of a counter: SplitMix64 (Steele et al., OOPSLA 2014).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t Word(uint64_t key, uint64_t index) {
  return Mix(key + (index + 1) * 0x9e3779b97f4a7c15u);
}

uint64_t KeyOf(absl::string_view name, uint64_t seed) {
  uint64_t key = Mix(seed);
  for (const char c : name) key = Mix(key ^ static_cast<uint8_t>(c));
  return key;
}

// Quantiles of the normal distribution: the value of a random byte.
const std::array<float, 256>& Quantiles() {
  static const std::array<float, 256> quantiles = [] {
    std::array<float, 256> values;
    for (int i = 0; i < 256; ++i) {
      const double wanted = (i + 0.5) / 256;
      double low = -8;
      double high = 8;
      while (high - low > 1e-9) {
        const double middle = (low + high) / 2;
        const bool is_below = std::erfc(-middle / std::sqrt(2.0)) / 2 < wanted;
        (is_below ? low : high) = middle;
      }
      values[i] = static_cast<float>((low + high) / 2);
    }
    return values;
  }();
  return quantiles;
}

void StoreHalf(uint16_t half, uint8_t* out) { std::memcpy(out, &half, 2); }

// Blocks of a quantised type: integers that are normally distributed around 0
// with standard deviation `kLevels` / 2.8 and a common scale.
constexpr float kQuantileMax = 2.8f;  // the outermost of 256 is 2.89

std::array<int8_t, 256> LevelTable(int levels) {
  std::array<int8_t, 256> table;
  for (int i = 0; i < 256; ++i) {
    const float value =
        Quantiles()[i] * (static_cast<float>(levels) / kQuantileMax);
    table[i] = static_cast<int8_t>(
        std::clamp(static_cast<int>(std::lrint(value)), -levels, levels));
  }
  return table;
}

// Elements [begin, end) of a tensor, of which each takes one random byte
// (floats: two); begin is a multiple of the block.
class Filler {
 public:
  Filler(const Tensor& tensor, uint64_t seed)
      : type_(tensor.type),
        deviation_(tensor.deviation),
        key_(KeyOf(tensor.name, seed)) {}

  void Fill(int64_t begin, int64_t end, uint8_t* out) const {
    switch (type_) {
      case TensorType::kQ4_0:
        return FillBlocks<32, 7>(begin, end, out, StoreQ4_0, Scale(7, 1));
      case TensorType::kQ8_0:
        return FillBlocks<32, 127>(begin, end, out, StoreQ8_0, Scale(127, 1));
      case TensorType::kQ4_K:
        return FillBlocks<256, 7>(begin, end, out, StoreQ4_K, Scale(7, 63));
      case TensorType::kQ6_K:
        return FillBlocks<256, 31>(begin, end, out, StoreQ6_K, Scale(31, 64));
      default:
        return FillFloats(begin, end, out);
    }
  }

 private:
  // The fp16 scale where the outermost level is `levels` steps of `integer`
  // times that.
  uint16_t Scale(int levels, int integer) const {
    return FloatToHalf(
        static_cast<float>(deviation_ * kQuantileMax / levels / integer));
  }

  // Each element one of the 2 * kLevels + 1 levels; `store` makes a block.
  template <int kInputs, int kLevels>
  void FillBlocks(int64_t begin, int64_t end, uint8_t* out,
                  void (*store)(const int8_t* levels, uint16_t scale,
                                uint8_t* block),
                  uint16_t scale) const {
    static const std::array<int8_t, 256> table = LevelTable(kLevels);
    for (int64_t at = begin; at < end; at += kInputs) {
      int8_t levels[kInputs];
      for (int i = 0; i < kInputs; i += 8) {
        const uint64_t word = Word(key_, (at + i) / 8);
        for (int j = 0; j < 8; ++j) levels[i + j] = table[word >> 8 * j & 255];
      }
      store(levels, scale, out);
      out += GetTensorTypeInfo(type_).block_bytes;
    }
  }

  static void StoreQ4_0(const int8_t* levels, uint16_t scale, uint8_t* block) {
    StoreHalf(scale, block);
    for (int i = 0; i < 16; ++i) {
      block[2 + i] =
          static_cast<uint8_t>((levels[i] + 8) | (levels[i + 16] + 8) << 4);
    }
  }

  static void StoreQ8_0(const int8_t* levels, uint16_t scale, uint8_t* block) {
    StoreHalf(scale, block);
    std::memcpy(block + 2, levels, 32);
  }

  // All scales and minimums are 63, and the fp16 minimum is 8 times the fp16
  // scale: weights are (code - 8) steps.
  static void StoreQ4_K(const int8_t* levels, uint16_t scale, uint8_t* block) {
    StoreHalf(scale, block);
    StoreHalf(FloatToHalf(8 * HalfToFloat(scale)), block + 2);
    std::memset(block + 4, 0xff, 12);
    for (int i = 0; i < 128; ++i) {
      block[16 + i] =
          static_cast<uint8_t>((levels[i] + 8) | (levels[i + 128] + 8) << 4);
    }
  }

  // All scales are 64.
  static void StoreQ6_K(const int8_t* levels, uint16_t scale, uint8_t* block) {
    std::memset(block, 0, 192);
    for (int i = 0; i < 256; ++i) {
      const int code = levels[i] + 32;
      block[i % 128] |= static_cast<uint8_t>((code & 15) << (i / 128 * 4));
      block[128 + i % 64] |= static_cast<uint8_t>(code >> 4 << (i / 64 * 2));
    }
    std::memset(block + 192, 64, 16);
    StoreHalf(scale, block + 208);
  }

  void FillFloats(int64_t begin, int64_t end, uint8_t* out) const {
    for (int64_t at = begin; at < end; ++at) {
      float value = 1;
      if (deviation_ != 0) {
        const uint64_t word = Word(key_, at);
        // The second byte fills the gaps between the quantiles.
        const float jitter =
            static_cast<float>((word >> 8) & 255) / 12800.0f - 0.01f;
        value =
            (Quantiles()[word & 255] + jitter) * static_cast<float>(deviation_);
      }
      out = StoreFloat(value, out);
    }
  }

  uint8_t* StoreFloat(float value, uint8_t* out) const {
    if (type_ == TensorType::kF32) {
      std::memcpy(out, &value, 4);
      return out + 4;
    }
    StoreHalf(
        type_ == TensorType::kF16 ? FloatToHalf(value) : FloatToBf16(value),
        out);
    return out + 2;
  }

  TensorType type_;
  double deviation_;
  uint64_t key_;
};

std::vector<Tensor> TensorsOf(const SynthesizeOptions& options) {
  const ModelShape& shape = options.shape;
  const uint64_t width = shape.width;
  const uint64_t kv_width = shape.width / shape.heads * shape.kv_heads;
  const uint64_t ffn = shape.feed_forward;
  const uint64_t vocab = shape.vocab;
  std::vector<Tensor> tensors;
  const auto type_of = [&](const std::string& name, size_t dims) {
    if (dims == 1) return TensorType::kF32;
    if (options.type != TensorType::kQ4_K) return options.type;
    return Q4KMediumType(
        name, options.mix_layers > 0 ? options.mix_layers : shape.layers,
        /*tied=*/false);
  };
  const auto add = [&](const std::string& name, std::vector<uint64_t> dims,
                       double deviation) {
    tensors.push_back({.name = name + ".weight",
                       .type = type_of(name + ".weight", dims.size()),
                       .dims = std::move(dims),
                       .deviation = deviation});
  };
  // Deviations keep what each block adds to the residual stream near 1: the
  // product of SiLU(gate) and up has a deviation of about 0.4 to 0.5.
  const double fan_in = 1 / std::sqrt(static_cast<double>(width));
  const double fan_in_down = 2 / std::sqrt(static_cast<double>(ffn));
  add("token_embd", {width, vocab}, 1);
  for (int64_t i = 0; i < shape.layers; ++i) {
    const std::string prefix = absl::StrCat("blk.", i, ".");
    const double scale = i < options.full_layers ? 1 : options.tail_scale;
    add(prefix + "attn_norm", {width}, 0);
    add(prefix + "attn_q", {width, width}, fan_in);
    add(prefix + "attn_k", {width, kv_width}, fan_in);
    add(prefix + "attn_v", {width, kv_width}, fan_in);
    add(prefix + "attn_output", {width, width}, fan_in * scale);
    add(prefix + "ffn_norm", {width}, 0);
    add(prefix + "ffn_gate", {width, ffn}, fan_in);
    add(prefix + "ffn_up", {width, ffn}, fan_in);
    add(prefix + "ffn_down", {ffn, width}, fan_in_down * scale);
  }
  add("output_norm", {width}, 0);
  add("output", {width, vocab}, fan_in * kLogitDeviation);
  return tensors;
}

void SetVocabulary(int64_t vocab, GgufWriter* writer) {
  constexpr int32_t kNormal = 1;
  constexpr int32_t kUnknown = 2;
  constexpr int32_t kControl = 3;
  constexpr int32_t kByte = 6;
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {kUnknown, kControl, kControl};
  for (int byte = 0; byte < kByteTokens; ++byte) {
    tokens.push_back(
        absl::StrCat("<0x", absl::Hex(byte, absl::kZeroPad2), ">"));
    std::transform(tokens.back().begin() + 3, tokens.back().end() - 1,
                   tokens.back().begin() + 3,
                   [](unsigned char c) { return std::toupper(c); });
    types.push_back(kByte);
  }
  while (static_cast<int64_t>(tokens.size()) < vocab) {
    tokens.push_back(absl::StrCat("\u2581w", tokens.size()));
    types.push_back(kNormal);
  }
  std::vector<float> scores(tokens.size());
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
  writer->SetString("tokenizer.ggml.model", "llama");
  writer->SetStringArray("tokenizer.ggml.tokens", tokens);
  writer->SetFloat32Array("tokenizer.ggml.scores", scores);
  writer->SetInt32Array("tokenizer.ggml.token_type", types);
  writer->SetUint32("tokenizer.ggml.unknown_token_id", 0);
  writer->SetUint32("tokenizer.ggml.bos_token_id", 1);
  writer->SetUint32("tokenizer.ggml.eos_token_id", 2);
}

void SetShape(const ModelShape& shape, GgufWriter* writer) {
  const auto set = [&](absl::string_view key, int64_t value) {
    writer->SetUint32(absl::StrCat("llama.", key),
                      static_cast<uint32_t>(value));
  };
  writer->SetString("general.architecture", "llama");
  writer->SetString("general.name", "random weights");
  set("vocab_size", shape.vocab);
  set("context_length", shape.context);
  set("embedding_length", shape.width);
  set("block_count", shape.layers);
  set("feed_forward_length", shape.feed_forward);
  set("attention.head_count", shape.heads);
  set("attention.head_count_kv", shape.kv_heads);
  set("rope.dimension_count", shape.width / shape.heads);
  writer->SetFloat32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  writer->SetFloat32("llama.rope.freq_base", 10000.0f);
}

absl::Status CheckOptions(const SynthesizeOptions& options) {
  const auto wrong = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("the shape ", what));
  };
  const ModelShape& shape = options.shape;
  if (!IsQuantizerType(options.type)) {
    return absl::InvalidArgumentError(
        "the type is not F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K");
  }
  if (shape.layers < 1 || shape.layers > 4096) {
    return wrong("has no 1 to 4,096 layers");
  }
  const int64_t block =
      std::max<int64_t>(GetTensorTypeInfo(options.type).block_elements, 32);
  const auto whole = [&](int64_t n) {
    return n >= block && n <= (1 << 20) && n % block == 0;
  };
  if (!whole(shape.width) || !whole(shape.feed_forward)) {
    return wrong(
        absl::StrCat("needs a width and a feed-forward width that are "
                     "multiples of ",
                     block, ", to 1,048,576"));
  }
  if (shape.heads < 1 || shape.width % shape.heads != 0 ||
      shape.width / shape.heads % 2 != 0) {
    return wrong("needs heads that cut the width into even parts");
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    return wrong("needs KV heads that divide the heads");
  }
  constexpr int64_t kVocabMin = kSpecialTokens + kByteTokens;
  if (shape.vocab < kVocabMin || shape.vocab > (1 << 20)) {
    return wrong("needs a vocabulary of 259 to 1,048,576 tokens");
  }
  if (shape.context < 1 || shape.context > (1 << 24)) {
    return wrong("needs a context of 1 to 16,777,216 tokens");
  }
  if (!std::isfinite(options.tail_scale) || options.tail_scale < 0) {
    return absl::InvalidArgumentError("the tail scale is not 0 or above");
  }
  return absl::OkStatus();
}

// Writes tensors one after the other, each chunk made by the whole team.
class TensorWriter {
 public:
  TensorWriter(const SynthesizeOptions& options, GgufOutput* file)
      : options_(options), file_(file), team_(AvailableCpus()) {}

  absl::Status Write(const std::vector<Tensor>& tensors) {
    int64_t total = 0;
    for (const Tensor& tensor : tensors) total += tensor.elements();
    int64_t done = 0;
    for (const Tensor& tensor : tensors) {
      const int64_t elements = tensor.elements();
      for (int64_t at = 0; at < elements; at += kChunkElements) {
        const int64_t end = std::min(elements, at + kChunkElements);
        TANDEM_RETURN_IF_ERROR(WriteChunk(tensor, at, end));
        done += end - at;
        if (options_.progress) {
          options_.progress(static_cast<double>(done) /
                            static_cast<double>(total));
        }
      }
      TANDEM_RETURN_IF_ERROR(file_->EndTensor());
    }
    return absl::OkStatus();
  }

 private:
  absl::Status WriteChunk(const Tensor& tensor, int64_t begin, int64_t end) {
    const Filler filler(tensor, options_.seed);
    const int64_t block = GetTensorTypeInfo(tensor.type).block_elements;
    chunk_.resize(WeightBytes(tensor.type, end - begin));
    team_.ParallelFor(end - begin, block * 8, [&](int64_t from, int64_t to) {
      filler.Fill(begin + from, begin + to,
                  chunk_.data() + WeightBytes(tensor.type, from));
    });
    return file_->Append(chunk_);
  }

  const SynthesizeOptions& options_;
  GgufOutput* file_;
  ThreadTeam team_;
  std::vector<uint8_t> chunk_;
};

}  // namespace

const std::vector<NamedShape>& NamedShapes() {
  static const std::vector<NamedShape> shapes = {
      {"llama-tiny", {4, 256, 8, 4, 768, 512, 2048}},
      {"llama-160m", {12, 768, 12, 12, 3072, 32000, 8192}},
      {"llama-1.1b", {22, 2048, 32, 4, 5632, 32000, 8192}},
      {"llama-3b", {26, 3200, 32, 32, 8640, 32000, 8192}},
      {"llama-7b", {32, 4096, 32, 32, 11008, 32000, 8192}},
      {"llama-8b", {32, 4096, 32, 8, 14336, 128256, 8192}},
      {"llama-13b", {40, 5120, 40, 40, 13824, 32000, 8192}},
  };
  return shapes;
}

std::optional<ModelShape> FindShape(absl::string_view name) {
  for (const NamedShape& named : NamedShapes()) {
    if (named.name == name) return named.shape;
  }
  return std::nullopt;
}

absl::Status SynthesizeModel(const SynthesizeOptions& options,
                             const std::string& path) {
  TANDEM_RETURN_IF_ERROR(CheckOptions(options));
  GgufWriter writer;
  SetShape(options.shape, &writer);
  SetVocabulary(options.shape.vocab, &writer);
  const std::vector<Tensor> tensors = TensorsOf(options);
  for (const Tensor& tensor : tensors) {
    writer.DeclareTensor(tensor.name, tensor.type, tensor.dims);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufOutput> file,
                          GgufOutput::Create(path, writer));
  TANDEM_RETURN_IF_ERROR(TensorWriter(options, file.get()).Write(tensors));
  return file->Finish();
}

}  // namespace tandem::bench
