#include "engine/kernels/linear.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/check.h"
#include "engine/base/checked_math.h"
#include "engine/kernels/float_matrix.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/matmul_onednn.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/super_matrix.h"
#include "engine/kernels/weight_format.h"

namespace tandem {
namespace {

// Below this many elements quantising on the caller's thread is faster than
// waking the team (about 2 us).
constexpr int64_t kParallelQuantizeElements = 1 << 15;

// What holds a matrix.
enum class Holder { kPacked, kSuper, kFloat, kOnednn };

// For a type that is supported.
Holder HolderOf(TensorType type, NumericsMode mode) {
  if (UsesOnednn(mode)) return Holder::kOnednn;
  if (mode == NumericsMode::kInt8Float && IsFloatWeightType(type)) {
    return Holder::kFloat;
  }
  return IsSuperForm(FindWeightFormat(type)->form) ? Holder::kSuper
                                                   : Holder::kPacked;
}

// Inputs come in multiples of this.
int64_t BlockOf(TensorType type, NumericsMode mode) {
  const int64_t block = GetTensorTypeInfo(type).block_elements;
  return HolderOf(type, mode) == Holder::kPacked
             ? std::max<int64_t>(block, kGroupInputs)
             : block;
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

}  // namespace

struct MatmulInput::Storage {
  NumericsMode mode;
  int64_t rows_max;
  int64_t inputs_max;
  const float* x = nullptr;  // [rows, inputs]
  int64_t rows = 0;
  int64_t inputs = 0;
  // For own kernels: [row blocks][groups] and [row blocks][super-blocks] of x.
  AlignedBuffer<ActivationGroup> groups;
  AlignedBuffer<ActivationSuperBlock> blocks;
  bool groups_ready = false;
  bool blocks_ready = false;
  // oneDNN's modes. Its thread contexts change during a matmul, each by its own
  // thread only.
  std::unique_ptr<OnednnInput> floats;

  void QuantizeGroups(const KernelTable& kernels, ThreadTeam* team) {
    if (groups_ready) return;
    groups_ready = true;
    Quantize(kernels.quantize_row, kGroupInputs, groups.data(), team);
  }
  void QuantizeBlocks(const KernelTable& kernels, ThreadTeam* team) {
    if (blocks_ready) return;
    blocks_ready = true;
    Quantize(kernels.super->quantize_row, kSuperInputs, blocks.data(), team);
  }

 private:
  // Rows of x in units of `unit_inputs`, each unit of a row block one T.
  template <typename T>
  void Quantize(void (*quantize_row)(const float*, int64_t, int, T*),
                int64_t unit_inputs, T* out, ThreadTeam* team) {
    const int64_t units = inputs / unit_inputs;
    const auto quantize = [&](int64_t begin, int64_t end) {
      for (int64_t row = 0; row < rows; ++row) {
        quantize_row(x + row * inputs + begin * unit_inputs, end - begin,
                     static_cast<int>(row % kRowBlock),
                     out + row / kRowBlock * units + begin);
      }
    };
    if (rows * inputs < kParallelQuantizeElements) {
      quantize(0, units);
    } else {
      team->ParallelFor(units, 1, quantize);
    }
  }
};

MatmulInput::MatmulInput(NumericsMode mode, int64_t rows_max,
                         int64_t inputs_max)
    : storage_(new Storage()) {
  storage_->mode = mode;
  storage_->rows_max = rows_max;
  storage_->inputs_max = inputs_max;
  if (UsesOnednn(mode)) {
    storage_->floats =
        std::make_unique<OnednnInput>(mode, rows_max, inputs_max);
    return;
  }
  const int64_t row_blocks = (rows_max + kRowBlock - 1) / kRowBlock;
  storage_->groups = AlignedBuffer<ActivationGroup>(
      row_blocks * ((inputs_max + kGroupInputs - 1) / kGroupInputs));
  storage_->blocks = AlignedBuffer<ActivationSuperBlock>(
      row_blocks * ((inputs_max + kSuperInputs - 1) / kSuperInputs));
}

MatmulInput::~MatmulInput() = default;

void MatmulInput::Set(const float* x, int64_t rows, int64_t inputs,
                      SimdLevel level, ThreadTeam* team) {
  Storage& storage = *storage_;
  TANDEM_CHECK(rows >= 0 && rows <= storage.rows_max);
  TANDEM_CHECK(inputs >= 1 && inputs <= storage.inputs_max);
  storage.x = x;
  storage.rows = rows;
  storage.inputs = inputs;
  storage.groups_ready = false;
  storage.blocks_ready = false;
  if (storage.floats != nullptr) {
    storage.floats->Set(x, rows, inputs, KernelsFor(level), team);
  }
}

struct Linear::Storage {
  int64_t outputs = 0;
  int64_t inputs = 0;
  std::variant<PackedMatrix, SuperMatrix, FloatMatrix, OnednnMatrix> matrix;

  // Units that threads share out: tiles or slices.
  int64_t units() const {
    if (const auto* packed = std::get_if<PackedMatrix>(&matrix)) {
      return packed->tiles();
    }
    if (const auto* super = std::get_if<SuperMatrix>(&matrix)) {
      return super->tiles();
    }
    if (const auto* floats = std::get_if<FloatMatrix>(&matrix)) {
      return floats->tiles();
    }
    return std::get<OnednnMatrix>(matrix).slices();
  }
};

Linear::Linear(std::unique_ptr<Storage> storage)
    : storage_(std::move(storage)) {}
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;
Linear::~Linear() = default;

absl::StatusOr<Linear> Linear::Create(const LinearSource& source,
                                      NumericsMode mode, ThreadTeam* team) {
  TANDEM_RETURN_IF_ERROR(CheckSource(source, mode));
  auto storage = std::make_unique<Storage>();
  storage->outputs = source.outputs;
  storage->inputs = source.inputs;
  const uint8_t* data = source.data.data();
  switch (HolderOf(source.type, mode)) {
    case Holder::kPacked:
      storage->matrix = PackedMatrix::Pack(source.type, data, source.outputs,
                                           source.inputs, team);
      break;
    case Holder::kSuper:
      storage->matrix = SuperMatrix::Pack(source.type, data, source.outputs,
                                          source.inputs, team);
      break;
    case Holder::kFloat:
      storage->matrix = FloatMatrix::Pack(source.type, data, source.outputs,
                                          source.inputs, team);
      break;
    case Holder::kOnednn: {
      absl::StatusOr<OnednnMatrix> matrix =
          OnednnMatrix::Create(source, mode, team);
      if (!matrix.ok()) {
        return Annotate(matrix.status(), absl::StrCat("tensor ", source.name));
      }
      storage->matrix = std::move(matrix).value();
    }
  }
  return Linear(std::move(storage));
}

int64_t Linear::outputs() const { return storage_->outputs; }

int64_t Linear::inputs() const { return storage_->inputs; }

int64_t Linear::bytes() const {
  return std::visit([](const auto& matrix) { return matrix.bytes(); },
                    storage_->matrix);
}

void Linear::DequantizeRow(int64_t index, float* out) const {
  TANDEM_CHECK(index >= 0 && index < storage_->outputs);
  std::visit([&](const auto& matrix) { matrix.DequantizeRow(index, out); },
             storage_->matrix);
}

namespace {

// One Matmul: its units are numbered through all outputs, and each chunk is one
// run of them.
struct MatmulJob {
  const MatmulInput::Storage* input;
  absl::Span<const MatmulOutput> outputs;
  const KernelTable* kernels;
  int64_t units;
  int64_t bytes;  // of the weights

  // A chunk reads at least kChunkBytes of weights, so that what a chunk costs
  // itself does not count, and a member has at most kChunksAMember of them, so
  // that the last one is short. Little work stays on the calling thread.
  int Chunks(int members) const {
    constexpr int64_t kChunkBytes = int64_t{128} << 10;
    constexpr int64_t kChunksAMember = 16;
    constexpr int64_t kInlineBytes = int64_t{64} << 10;  // of weights, a row
    if (bytes * input->rows < kInlineBytes) return 1;
    const int64_t chunks = std::clamp<int64_t>(bytes / kChunkBytes, members,
                                               members * kChunksAMember);
    return static_cast<int>(
        std::min<int64_t>({chunks, units, ThreadTeam::kChunksMax}));
  }

  void RunChunk(int member, int chunk, int chunks) const {
    const int64_t begin = units * chunk / chunks;
    const int64_t end = units * (chunk + 1) / chunks;
    int64_t first = 0;
    for (const MatmulOutput& output : outputs) {
      const int64_t count = output.weight->storage().units();
      const int64_t from = std::max(begin - first, int64_t{0});
      const int64_t to = std::min(end - first, count);
      if (from < to) RunUnits(output, from, to, member);
      first += count;
    }
  }

  void RunUnits(const MatmulOutput& output, int64_t begin, int64_t end,
                int member) const {
    const auto& matrix = output.weight->storage().matrix;
    if (const auto* packed = std::get_if<PackedMatrix>(&matrix)) {
      packed->MultiplyTiles(*kernels, begin, end,
                            {.input = input->groups.data(),
                             .rows = input->rows,
                             .y = output.y,
                             .y_stride = output.stride});
      return;
    }
    if (const auto* super = std::get_if<SuperMatrix>(&matrix)) {
      super->MultiplyTiles(*kernels, begin, end,
                           {.input = input->blocks.data(),
                            .rows = input->rows,
                            .y = output.y,
                            .y_stride = output.stride});
      return;
    }
    if (const auto* floats = std::get_if<FloatMatrix>(&matrix)) {
      floats->MultiplyTiles(*kernels, begin, end,
                            {.x = input->x,
                             .rows = input->rows,
                             .y = output.y,
                             .y_stride = output.stride});
      return;
    }
    input->floats->Multiply(
        std::get<OnednnMatrix>(matrix),
        {.begin = begin, .end = end, .y = output.y, .y_stride = output.stride},
        member);
  }
};

}  // namespace

void Matmul(const MatmulInput& input, absl::Span<const MatmulOutput> outputs,
            SimdLevel level, ThreadTeam* team) {
  MatmulInput::Storage& storage = *input.storage_;
  const KernelTable& kernels = KernelsFor(level);
  MatmulJob job = {.input = &storage,
                   .outputs = outputs,
                   .kernels = &kernels,
                   .units = 0,
                   .bytes = 0};
  for (const MatmulOutput& output : outputs) {
    const Linear::Storage& weight = output.weight->storage();
    TANDEM_CHECK(weight.inputs == storage.inputs);
    TANDEM_CHECK(std::holds_alternative<OnednnMatrix>(weight.matrix) ==
                 UsesOnednn(storage.mode));
    job.units += weight.units();
    job.bytes += output.weight->bytes();
    if (std::holds_alternative<PackedMatrix>(weight.matrix)) {
      storage.QuantizeGroups(kernels, team);
    } else if (std::holds_alternative<SuperMatrix>(weight.matrix)) {
      storage.QuantizeBlocks(kernels, team);
    }
  }
  if (storage.rows == 0) return;
  const int chunks = job.Chunks(team->size());
  team->Run(chunks, [&job, chunks](int member, int chunk) {
    job.RunChunk(member, chunk, chunks);
  });
}

std::optional<int64_t> PackedWeightBytes(TensorType type, int64_t outputs,
                                         int64_t inputs, NumericsMode mode) {
  if (!IsSupportedWeightType(type) || inputs % BlockOf(type, mode) != 0) {
    return std::nullopt;
  }
  switch (HolderOf(type, mode)) {
    case Holder::kPacked:
      return PackedMatrix::PackedBytes(type, outputs, inputs);
    case Holder::kSuper:
      return SuperMatrix::PackedBytes(type, outputs, inputs);
    case Holder::kFloat:
      return FloatMatrix::PackedBytes(type, outputs, inputs);
    case Holder::kOnednn:
      break;
  }
  return OnednnMatrix::PackedBytes(mode, outputs, inputs);
}

}  // namespace tandem
