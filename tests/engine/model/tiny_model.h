// Small random models for tests: the parts of a GGUF image, open to
// change before it is serialised. The same spec gives the same bytes on any
// machine. Header only: several test programs use it.

#ifndef TANDEM_TESTS_ENGINE_MODEL_TINY_MODEL_H_
#define TANDEM_TESTS_ENGINE_MODEL_TINY_MODEL_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/kernels/float_math.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/weight_format.h"
#include "engine/model/architecture.h"
#include "engine/model/model.h"

namespace tandem {

struct TinyModelSpec {
  // Of the table; the tensors follow its features, keys beyond those of llama
  // are set by the test.
  absl::string_view architecture = "llama";
  int64_t layers = 2;
  int64_t width = 64;
  int64_t feed_forward_width = 96;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 16;
  int64_t rotary_dims = 16;
  int64_t vocab_size = 300;  // at least 286: bytes and letters come first
  int64_t context_length = 256;
  bool tied = true;
  TensorType type = TensorType::kF32;  // of matrices; norms are F32
  // Of the head, attn_v and ffn_down, where files of mixed types differ.
  std::optional<TensorType> second_type = {};
  uint64_t seed = 1;
};

// splitmix64 (Steele, Lea, Flood 2014).
class TinyRandom {
 public:
  explicit TinyRandom(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // In [0, count).
  int64_t Below(int64_t count) {
    return static_cast<int64_t>(Next() % static_cast<uint64_t>(count));
  }

  // In [-1, 1), 24 bits.
  float Uniform() {
    return static_cast<float>(static_cast<int64_t>(Next() >> 40)) * 0x1p-23f -
           1.0f;
  }

 private:
  uint64_t state_;
};

struct TinyTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> dims = {};
  std::vector<uint8_t> data = {};
};

// The smallest shape whose matrices can have `type`.
inline TinyModelSpec TinySpecFor(TensorType type) {
  TinyModelSpec spec;
  spec.type = type;
  if (GetTensorTypeInfo(type).block_elements > 32) {
    spec.width = 256;
    spec.feed_forward_width = 256;
    spec.head_dim = 64;
    spec.rotary_dims = 64;
  }
  return spec;
}

// Random blocks of `type`, any codes and integer scales, about as large as
// `values`: for types that have no encoder here.
inline std::vector<uint8_t> RandomBlocks(TensorType type,
                                         const std::vector<float>& values) {
  const WeightFormat& format = *FindWeightFormat(type);
  const TensorTypeInfo info = GetTensorTypeInfo(type);
  const auto rms = [](const std::vector<float>& x) {
    double sum = 0;
    for (float value : x) sum += static_cast<double>(value) * value;
    return std::sqrt(sum / static_cast<double>(x.size()));
  };
  uint64_t seed = values.size();
  for (float value : values) {
    seed =
        31 * seed + static_cast<uint64_t>(static_cast<int64_t>(value * 1e6f));
  }
  TinyRandom random(seed);
  std::vector<uint8_t> data(values.size() / info.block_elements *
                            info.block_bytes);
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(random.Next());
  const auto set_halves = [&](float scale, float minimum) {
    for (size_t at = 0; at < data.size(); at += info.block_bytes) {
      for (int i = 0; i < format.halves; ++i) {
        const uint16_t bits = FloatToHalf(i == 0 ? scale : minimum);
        std::memcpy(data.data() + at + format.halves_offset + 2 * i, &bits, 2);
      }
    }
  };
  // Q4_1 and Q5_1 add their minimum, the super-blocks take theirs off.
  const bool adds = info.block_elements == 32;
  const float minimum = adds ? -8.0f : 1.0f;
  set_halves(1.0f, minimum);
  std::vector<float> unscaled(values.size());
  Dequantize(type, data.data(), static_cast<int64_t>(values.size()),
             unscaled.data());
  const float scale = static_cast<float>(rms(values) / rms(unscaled));
  set_halves(scale, minimum * scale);
  return data;
}

// `values` as blocks of `type`: rounded for F32, F16, BF16, Q8_0 and Q4_0, else
// random ones.
inline std::vector<uint8_t> EncodeTensor(TensorType type,
                                         const std::vector<float>& values) {
  std::vector<uint8_t> out;
  const auto put = [&out](const auto& value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof(value));
  };
  const auto largest = [&values](size_t begin) {
    return *std::max_element(
        values.begin() + begin, values.begin() + begin + 32,
        [](float a, float b) { return std::abs(a) < std::abs(b); });
  };
  switch (type) {
    case TensorType::kF32:
      for (float value : values) put(value);
      break;
    case TensorType::kF16:
      for (float value : values) put(FloatToHalf(value));
      break;
    case TensorType::kBF16:
      for (float value : values) put(FloatToBf16(value));
      break;
    case TensorType::kQ8_0:
      for (size_t begin = 0; begin < values.size(); begin += 32) {
        const float scale = std::abs(largest(begin)) / 127.0f;
        put(FloatToHalf(scale));
        for (size_t i = begin; i < begin + 32; ++i) {
          const float code = scale == 0.0f ? 0.0f : values[i] / scale;
          put(static_cast<int8_t>(std::lround(code)));
        }
      }
      break;
    case TensorType::kQ4_0:
      // Low nibbles are elements 0 to 15, high ones 16 to 31.
      for (size_t begin = 0; begin < values.size(); begin += 32) {
        const float scale = largest(begin) / -8.0f;
        put(FloatToHalf(scale));
        const auto code = [&](size_t i) {
          const float x = scale == 0.0f ? 0.0f : values[begin + i] / scale;
          return std::clamp<int64_t>(std::lround(x) + 8, 0, 15);
        };
        for (size_t i = 0; i < 16; ++i) {
          put(static_cast<uint8_t>(code(i) | code(i + 16) << 4));
        }
      }
      break;
    default:
      return RandomBlocks(type, values);
  }
  return out;
}

class TinyModel {
 public:
  using Value = std::variant<uint32_t, int32_t, uint64_t, float, bool,
                             std::string, std::vector<int32_t>>;

  explicit TinyModel(const TinyModelSpec& spec) {
    SetMetadata(spec);
    SetVocabulary(spec.vocab_size);
    AddTensors(spec);
  }

  // Free to change before Serialize.
  std::map<std::string, Value> metadata;
  std::vector<std::string> pieces;
  std::vector<TinyTensor> tensors;

  TinyTensor& tensor(const std::string& name) {
    for (TinyTensor& candidate : tensors) {
      if (candidate.name == name) return candidate;
    }
    TANDEM_CHECK(false);
  }

  void Erase(const std::string& name) {
    std::erase_if(tensors, [&](const TinyTensor& t) { return t.name == name; });
  }

  std::string Serialize() const {
    GgufWriter writer;
    for (const auto& [key, value] : metadata) {
      std::visit([&, &k = key](const auto& v) { Set(k, v, &writer); }, value);
    }
    std::vector<float> scores;
    std::vector<int32_t> kinds;
    for (size_t i = 0; i < pieces.size(); ++i) {
      const bool byte = i >= 3 && i < 259;
      scores.push_back(i < 259 ? 0.0f : -static_cast<float>(i));
      kinds.push_back(i == 0 ? 2 : i < 3 ? 3 : byte ? 6 : 1);
    }
    writer.SetStringArray("tokenizer.ggml.tokens", pieces);
    writer.SetFloat32Array("tokenizer.ggml.scores", scores);
    writer.SetInt32Array("tokenizer.ggml.token_type", kinds);
    for (const TinyTensor& t : tensors) {
      writer.AddTensor(t.name, t.type, t.dims, t.data);
    }
    return writer.Serialize();
  }

 private:
  static void Set(const std::string& key, uint32_t value, GgufWriter* out) {
    out->SetUint32(key, value);
  }
  static void Set(const std::string& key, int32_t value, GgufWriter* out) {
    out->SetInt32(key, value);
  }
  static void Set(const std::string& key, uint64_t value, GgufWriter* out) {
    out->SetUint64(key, value);
  }
  static void Set(const std::string& key, float value, GgufWriter* out) {
    out->SetFloat32(key, value);
  }
  static void Set(const std::string& key, bool value, GgufWriter* out) {
    out->SetBool(key, value);
  }
  static void Set(const std::string& key, const std::string& value,
                  GgufWriter* out) {
    out->SetString(key, value);
  }

  static void Set(const std::string& key, const std::vector<int32_t>& values,
                  GgufWriter* out) {
    out->SetInt32Array(key, values);
  }

  void SetMetadata(const TinyModelSpec& spec) {
    const auto count = [](int64_t n) { return static_cast<uint32_t>(n); };
    const std::string prefix = absl::StrCat(spec.architecture, ".");
    metadata["general.architecture"] = std::string(spec.architecture);
    metadata["general.name"] = std::string("tiny");
    metadata[prefix + "block_count"] = count(spec.layers);
    metadata[prefix + "embedding_length"] = count(spec.width);
    metadata[prefix + "feed_forward_length"] = count(spec.feed_forward_width);
    metadata[prefix + "context_length"] = count(spec.context_length);
    metadata[prefix + "attention.head_count"] = count(spec.heads);
    metadata[prefix + "attention.head_count_kv"] = count(spec.kv_heads);
    metadata[prefix + "attention.key_length"] = count(spec.head_dim);
    metadata[prefix + "attention.value_length"] = count(spec.head_dim);
    metadata[prefix + "attention.layer_norm_rms_epsilon"] = 1e-5f;
    metadata[prefix + "rope.dimension_count"] = count(spec.rotary_dims);
    metadata[prefix + "rope.freq_base"] = 10000.0f;
    metadata[prefix + "vocab_size"] = count(spec.vocab_size);
    metadata["tokenizer.ggml.model"] = std::string("llama");
    metadata["tokenizer.ggml.bos_token_id"] = uint32_t{1};
    metadata["tokenizer.ggml.eos_token_id"] = uint32_t{2};
    metadata["tokenizer.ggml.unknown_token_id"] = uint32_t{0};
    metadata["tokenizer.ggml.add_bos_token"] = true;
  }

  void SetVocabulary(int64_t size) {
    constexpr char kHex[] = "0123456789ABCDEF";
    pieces = {"<unk>", "<s>", "</s>"};
    for (int byte = 0; byte < 256; ++byte) {
      pieces.push_back(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] +
                       ">");
    }
    pieces.push_back("\u2581");
    for (char c = 'a'; c <= 'z'; ++c) pieces.push_back(std::string(1, c));
    for (int64_t i = 0; static_cast<int64_t>(pieces.size()) < size; ++i) {
      std::string piece;
      for (int64_t rest = i + 26; rest > 0; rest /= 26) {
        piece += static_cast<char>('a' + rest % 26);
      }
      pieces.push_back("\u2581" + piece);
    }
    TANDEM_CHECK(static_cast<int64_t>(pieces.size()) == size);
  }

  void AddTensors(const TinyModelSpec& spec) {
    TinyRandom random(spec.seed);
    const Architecture* architecture = FindArchitecture(spec.architecture);
    TANDEM_CHECK(architecture != nullptr);
    const ModelFeatures& features = architecture->features;
    const int64_t query = spec.heads * spec.head_dim;
    const int64_t kv = spec.kv_heads * spec.head_dim;
    AddMatrix("token_embd.weight", spec.vocab_size, spec.width, spec, &random);
    if (!spec.tied) {
      AddMatrix("output.weight", spec.vocab_size, spec.width, spec, &random);
    }
    AddNorm("output_norm.weight", spec.width, &random);
    for (int64_t i = 0; i < spec.layers; ++i) {
      const std::string blk = "blk." + std::to_string(i) + ".";
      AddNorm(blk + "attn_norm.weight", spec.width, &random);
      if (features.fused_inputs) {
        AddMatrix(blk + "attn_qkv.weight", query + 2 * kv, spec.width, spec,
                  &random);
      } else {
        AddMatrix(blk + "attn_q.weight", query, spec.width, spec, &random);
        AddMatrix(blk + "attn_k.weight", kv, spec.width, spec, &random);
        AddMatrix(blk + "attn_v.weight", kv, spec.width, spec, &random);
      }
      if (features.qkv_biases) {
        AddVector(blk + "attn_q.bias", query, 0.0f, &random);
        AddVector(blk + "attn_k.bias", kv, 0.0f, &random);
        AddVector(blk + "attn_v.bias", kv, 0.0f, &random);
      }
      if (features.head_norms) {
        AddNorm(blk + "attn_q_norm.weight", spec.head_dim, &random);
        AddNorm(blk + "attn_k_norm.weight", spec.head_dim, &random);
      }
      AddMatrix(blk + "attn_output.weight", spec.width, query, spec, &random);
      if (features.post_norms) {
        AddNorm(blk + "post_attention_norm.weight", spec.width, &random);
        AddNorm(blk + "post_ffw_norm.weight", spec.width, &random);
      }
      AddNorm(blk + "ffn_norm.weight", spec.width, &random);
      if (features.fused_inputs) {
        AddMatrix(blk + "ffn_up.weight", 2 * spec.feed_forward_width,
                  spec.width, spec, &random);
      } else {
        AddMatrix(blk + "ffn_gate.weight", spec.feed_forward_width, spec.width,
                  spec, &random);
        AddMatrix(blk + "ffn_up.weight", spec.feed_forward_width, spec.width,
                  spec, &random);
      }
      AddMatrix(blk + "ffn_down.weight", spec.width, spec.feed_forward_width,
                spec, &random);
    }
  }

  // Uniform with variance 1 / inputs times a gain, so that activations keep
  // their size from layer to layer.
  void AddMatrix(const std::string& name, int64_t outputs, int64_t inputs,
                 const TinyModelSpec& spec, TinyRandom* random) {
    constexpr float kGain = 2.0f;
    const float scale = kGain * std::sqrt(3.0f / static_cast<float>(inputs));
    std::vector<float> values(outputs * inputs);
    for (float& value : values) value = scale * random->Uniform();
    const char* head = spec.tied ? "token_embd" : "output";
    const bool second = name.starts_with(head) ||
                        name.find("attn_v") != std::string::npos ||
                        name.find("ffn_down") != std::string::npos;
    const TensorType type =
        second ? spec.second_type.value_or(spec.type) : spec.type;
    tensors.push_back({.name = name,
                       .type = type,
                       .dims = {static_cast<uint64_t>(inputs),
                                static_cast<uint64_t>(outputs)},
                       .data = EncodeTensor(type, values)});
  }

  void AddNorm(const std::string& name, int64_t width, TinyRandom* random) {
    AddVector(name, width, 1.0f, random);
  }

  void AddVector(const std::string& name, int64_t width, float around,
                 TinyRandom* random) {
    std::vector<float> values(width);
    for (float& value : values) value = around + 0.25f * random->Uniform();
    tensors.push_back({.name = name,
                       .type = TensorType::kF32,
                       .dims = {static_cast<uint64_t>(width)},
                       .data = EncodeTensor(TensorType::kF32, values)});
  }
};

inline absl::StatusOr<std::unique_ptr<GgufFile>> OpenTiny(
    const TinyModel& model) {
  return GgufFile::FromBytes(model.Serialize(), "tiny.gguf");
}

inline absl::StatusOr<std::shared_ptr<const Model>> LoadTiny(
    const TinyModel& model, const ModelOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<GgufFile>> file = OpenTiny(model);
  if (!file.ok()) return file.status();
  return Model::Load(*std::move(file), options);
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_MODEL_TINY_MODEL_H_
