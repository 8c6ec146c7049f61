#include "engine/kernels/linear.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/checked_math.h"

namespace tandem {
namespace {

// Below this many elements quantising on the caller's thread is faster than
// waking the team (about 2 us).
constexpr int64_t kParallelQuantizeElements = 1 << 15;

// For a type that is supported and a mode of own kernels.
PackedForm FormOf(TensorType type, NumericsMode mode) {
  const WeightFormat& format = *FindWeightFormat(type);
  return mode == NumericsMode::kInt8Float ? format.exact_form
                                          : format.int8_form;
}

// Inputs come in multiples of this.
int64_t BlockOf(TensorType type, NumericsMode mode) {
  return UsesOnednn(mode)
             ? GetTensorTypeInfo(type).block_elements
             : kBlockLayouts[static_cast<int>(FormOf(type, mode))].inputs;
}

absl::Status Unsupported(const LinearSource& source, absl::string_view why) {
  return UnsupportedModel(absl::StrCat("tensor ", source.name, ": ", why));
}

absl::Status CheckSource(const LinearSource& source, NumericsMode mode) {
  const TensorTypeInfo info = GetTensorTypeInfo(source.type);
  if (!IsSupportedWeightType(source.type)) {
    return Unsupported(source,
                       absl::StrCat("type ", info.name, " is not supported"));
  }
  if (source.outputs < 1 || source.inputs < 1) {
    return Unsupported(source, absl::StrCat("shape [", source.outputs, ", ",
                                            source.inputs, "] is empty"));
  }
  const int64_t block = BlockOf(source.type, mode);
  if (source.inputs % block != 0) {
    return Unsupported(
        source, absl::StrCat(source.inputs, " inputs are no multiple of ",
                             block, ", the block of type ", info.name,
                             " in numerics ", NumericsModeName(mode)));
  }
  const std::optional<uint64_t> bytes =
      CheckedMultiply(WeightBytes(source.type, source.inputs), source.outputs);
  if (!bytes.has_value() || *bytes != source.data.size()) {
    return MalformedFile(
        absl::StrCat("tensor ", source.name, ": ", source.data.size(),
                     " bytes do not hold [", source.outputs, ", ",
                     source.inputs, "] of type ", info.name));
  }
  return absl::OkStatus();
}

// A chunk reads at least kChunkBytes of weights, so that what a chunk costs
// itself does not count, and a member has at most kChunksAMember of them, so
// that the last one is short. Little work stays on the calling thread.
int ChunksFor(int64_t bytes, int64_t rows, int64_t units, int members) {
  constexpr int64_t kChunkBytes = int64_t{128} << 10;
  constexpr int64_t kChunksAMember = 16;
  constexpr int64_t kInlineBytes = int64_t{64} << 10;  // of weights, a row
  if (bytes * rows < kInlineBytes) return 1;
  const int64_t chunks = std::clamp<int64_t>(bytes / kChunkBytes, members,
                                             members * kChunksAMember);
  return static_cast<int>(
      std::min<int64_t>({chunks, units, ThreadTeam::kChunksMax}));
}

int64_t BlocksOf(int64_t rows, int64_t inputs, int64_t block_inputs) {
  return (rows + kRowBlock - 1) / kRowBlock *
         ((inputs + block_inputs - 1) / block_inputs);
}

}  // namespace

absl::StatusOr<Linear> Linear::Create(const LinearSource& source,
                                      NumericsMode mode, ThreadTeam* team) {
  TANDEM_RETURN_IF_ERROR(CheckSource(source, mode));
  if (!UsesOnednn(mode)) {
    return Linear(PackedMatrix::Pack(source, FormOf(source.type, mode), team));
  }
  absl::StatusOr<OnednnMatrix> matrix =
      OnednnMatrix::Create(source, mode, team);
  if (!matrix.ok()) {
    return Annotate(matrix.status(), absl::StrCat("tensor ", source.name));
  }
  return Linear(std::move(matrix).value());
}

int64_t Linear::outputs() const {
  return std::visit([](const auto& matrix) { return matrix.outputs(); },
                    matrix_);
}

int64_t Linear::inputs() const {
  return std::visit([](const auto& matrix) { return matrix.inputs(); },
                    matrix_);
}

int64_t Linear::bytes() const {
  return std::visit([](const auto& matrix) { return matrix.bytes(); }, matrix_);
}

int64_t Linear::units() const {
  return packed() != nullptr ? packed()->tiles() : onednn()->slices();
}

void Linear::DequantizeRow(int64_t index, float* out) const {
  TANDEM_CHECK(index >= 0 && index < outputs());
  std::visit([&](const auto& matrix) { matrix.DequantizeRow(index, out); },
             matrix_);
}

Multiplier::Multiplier(NumericsMode mode, int64_t rows_max, int64_t inputs_max,
                       const KernelTable& kernels, ThreadTeam* team)
    : mode_(mode),
      rows_max_(rows_max),
      inputs_max_(inputs_max),
      kernels_(kernels),
      team_(*team) {
  if (UsesOnednn(mode)) {
    floats_.emplace(mode, rows_max, inputs_max);
    return;
  }
  groups_ = AlignedBuffer<ActivationGroup>(
      BlocksOf(rows_max, inputs_max, kGroupInputs));
  super_blocks_ = AlignedBuffer<ActivationSuperBlock>(
      BlocksOf(rows_max, inputs_max, kSuperInputs));
}

template <typename T>
void Multiplier::Quantize(void (*quantize)(const float*, int64_t, int, T*),
                          int64_t block_inputs, AlignedBuffer<T>* out) {
  const int64_t blocks = inputs_ / block_inputs;
  const auto quantize_blocks = [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows_; ++row) {
      quantize(x_ + row * inputs_ + begin * block_inputs, end - begin,
               static_cast<int>(row % kRowBlock),
               out->data() + row / kRowBlock * blocks + begin);
    }
  };
  if (rows_ * inputs_ < kParallelQuantizeElements) {
    quantize_blocks(0, blocks);
  } else {
    team_.ParallelFor(blocks, 1, quantize_blocks);
  }
}

const void* Multiplier::InputFor(const BlockLayout& layout) const {
  if (layout.inputs == kGroupInputs) return groups_.data();
  if (layout.inputs == kSuperInputs) return super_blocks_.data();
  return x_;
}

void Multiplier::Multiply(const float* x, int64_t rows,
                          absl::Span<const MatmulOutput> outputs) {
  x_ = x;
  rows_ = rows;
  inputs_ = outputs.front().weight->inputs();
  TANDEM_CHECK(rows_ >= 0 && rows_ <= rows_max_ && inputs_ <= inputs_max_);
  if (rows == 0) return;
  int64_t units = 0;
  int64_t bytes = 0;
  bool needs_groups = false;
  bool needs_super_blocks = false;
  for (const MatmulOutput& output : outputs) {
    const Linear& weight = *output.weight;
    TANDEM_CHECK(weight.inputs() == inputs_ &&
                 (weight.onednn() != nullptr) == UsesOnednn(mode_));
    units += weight.units();
    bytes += weight.bytes();
    if (weight.packed() == nullptr) continue;
    const int block_inputs = weight.packed()->layout().inputs;
    needs_groups |= block_inputs == kGroupInputs;
    needs_super_blocks |= block_inputs == kSuperInputs;
  }
  if (floats_) floats_->Set(x, rows, inputs_, kernels_, &team_);
  if (needs_groups) {
    Quantize(kernels_.quantize_groups, kGroupInputs, &groups_);
  }
  if (needs_super_blocks) {
    Quantize(kernels_.quantize_super_blocks, kSuperInputs, &super_blocks_);
  }
  const int chunks = ChunksFor(bytes, rows, units, team_.size());
  team_.Run(chunks, [&](int member, int chunk) {
    RunChunk(outputs, units * chunk / chunks, units * (chunk + 1) / chunks,
             member);
  });
}

// Units are numbered through all outputs.
void Multiplier::RunChunk(absl::Span<const MatmulOutput> outputs, int64_t begin,
                          int64_t end, int member) {
  int64_t first = 0;
  for (const auto& [weight, y] : outputs) {
    const int64_t from = std::max(begin - first, int64_t{0});
    const int64_t to = std::min(end - first, weight->units());
    first += weight->units();
    if (from >= to) continue;
    if (const PackedMatrix* packed = weight->packed()) {
      packed->MultiplyTiles(kernels_, from, to,
                            {.input = InputFor(packed->layout()),
                             .rows = rows_,
                             .y = y,
                             .y_stride = weight->outputs()});
    } else {
      floats_->Multiply(
          *weight->onednn(),
          {.begin = from, .end = to, .y = y, .y_stride = weight->outputs()},
          member);
    }
  }
}

bool IsSupportedWeightType(TensorType type) {
  return FindWeightFormat(type) != nullptr;
}

std::optional<int64_t> PackedWeightBytes(TensorType type, int64_t outputs,
                                         int64_t inputs, NumericsMode mode) {
  if (!IsSupportedWeightType(type) || inputs % BlockOf(type, mode) != 0) {
    return std::nullopt;
  }
  return UsesOnednn(mode)
             ? OnednnMatrix::PackedBytes(mode, outputs, inputs)
             : PackedMatrix::PackedBytes(FormOf(type, mode), outputs, inputs);
}

}  // namespace tandem
