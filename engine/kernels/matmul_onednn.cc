#include "engine/kernels/matmul_onednn.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <dnnl.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/check.h"
#include "engine/base/cpu_features.h"
#include "engine/base/error_reason.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/kernels/float_math.h"

// Of oneDNN's OpenMP runtime; declared here because clang has no omp.h.
extern "C" void omp_set_num_threads(int threads);

namespace tandem {
namespace {

// Output columns of one primitive: one block of the AVX-512 kernels.
constexpr int64_t kSliceOutputs = 64;
// K is padded with zeros to a multiple of this, so that no layout of oneDNN
// has padding of its own, which it would write to shared weights.
constexpr int64_t kInputsMultiple = 64;
constexpr int64_t kCallRowsMax = 256;
// Row counts that have a primitive; other counts are padded to the next.
constexpr std::array<int64_t, 16> kRowClasses = {
    1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};
constexpr size_t kClassCount = kRowClasses.size();
static_assert(kRowClasses.back() == kCallRowsMax);

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

size_t ClassOf(int64_t rows) {
  return std::lower_bound(kRowClasses.begin(), kRowClasses.end(), rows) -
         kRowClasses.begin();
}

// oneDNN compares engines by address, so that all primitives, streams and
// memory objects share this one. It has no state, and is never destroyed.
const dnnl::engine& CpuEngine() {
  static const dnnl::engine* const engine =
      new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

// Holds the calling thread to itself, once; OpenMP keeps the figure per
// thread.
void UseOneOpenMpThread() {
  thread_local bool done = false;
  if (done) return;
  omp_set_num_threads(1);
  done = true;
}

dnnl::memory::data_type ElementType(NumericsMode mode) {
  return mode == NumericsMode::kBf16 ? dnnl::memory::data_type::bf16
                                     : dnnl::memory::data_type::f32;
}

int64_t ElementBytes(NumericsMode mode) {
  return mode == NumericsMode::kBf16 ? 2 : 4;
}

// Where element (k, n) of a slice lies in oneDNN's blocked layout: the sum of
// a part that depends on k and one that depends on n.
struct BlockedLayout {
  dnnl_blocking_desc_t blocking;

  int64_t Offset(int dimension, int64_t index) const {
    int64_t offset = 0;
    int64_t inner_stride = 1;
    for (int i = blocking.inner_nblks - 1; i >= 0; --i) {
      const int64_t size = blocking.inner_blks[i];
      if (blocking.inner_idxs[i] == dimension) {
        offset += index % size * inner_stride;
        index /= size;
      }
      inner_stride *= size;
    }
    return offset + index * blocking.strides[dimension];
  }
};

// What is common to all slices of matrices with this K.
struct Shape {
  NumericsMode mode = NumericsMode::kF32;
  int64_t inputs = 0;  // padded
  dnnl::memory::desc weights;
  std::array<dnnl::matmul::primitive_desc, kClassCount> descriptions;
  std::array<dnnl::matmul, kClassCount> primitives;
};

dnnl::matmul::primitive_desc Describe(const Shape& shape, int64_t rows,
                                      const dnnl::memory::desc& weights) {
  using Tag = dnnl::memory::format_tag;
  const dnnl::memory::desc source({rows, shape.inputs}, ElementType(shape.mode),
                                  Tag::ab);
  const dnnl::memory::desc target({rows, kSliceOutputs},
                                  dnnl::memory::data_type::f32, Tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  return dnnl::matmul::primitive_desc(
      dnnl::matmul::desc(source, weights, target), attributes, CpuEngine());
}

// Throws dnnl::error.
Shape MakeShape(NumericsMode mode, int64_t inputs) {
  Shape shape;
  shape.mode = mode;
  shape.inputs = RoundUp(inputs, kInputsMultiple);
  // The layout that oneDNN likes for 16 rows serves every row count.
  const dnnl::memory::desc any({shape.inputs, kSliceOutputs}, ElementType(mode),
                               dnnl::memory::format_tag::any);
  shape.weights = Describe(shape, 16, any).weights_desc();
  for (size_t i = 0; i < kClassCount; ++i) {
    shape.descriptions[i] = Describe(shape, kRowClasses[i], shape.weights);
    shape.primitives[i] = dnnl::matmul(shape.descriptions[i]);
  }
  return shape;
}

// True for a layout that BlockedLayout describes in full.
bool IsPlainBlocked(const dnnl::memory::desc& description) {
  const dnnl_memory_desc_t& data = description.data;
  return data.format_kind == dnnl_blocked && data.extra.flags == 0 &&
         data.padded_dims[0] == data.dims[0] &&
         data.padded_dims[1] == data.dims[1];
}

// The memory objects of one thread for one row class of one shape.
class ClassCall {
 public:
  ClassCall(const Shape& shape, size_t row_class)
      : primitive_(shape.primitives[row_class]),
        source_(shape.descriptions[row_class].src_desc(), CpuEngine(), nullptr),
        weights_(shape.weights, CpuEngine(), nullptr),
        target_(shape.descriptions[row_class].dst_desc(), CpuEngine(), nullptr),
        scratchpad_(shape.descriptions[row_class].scratchpad_desc(),
                    CpuEngine(), nullptr) {}

  size_t scratchpad_bytes() const { return scratchpad_.get_desc().get_size(); }

  void Run(const dnnl::stream& stream, const void* source, const void* weights,
           void* target, void* scratchpad) const {
    // oneDNN's interface has no const; it only reads source and weights.
    source_.set_data_handle(const_cast<void*>(source));
    weights_.set_data_handle(const_cast<void*>(weights));
    target_.set_data_handle(target);
    scratchpad_.set_data_handle(scratchpad);
    // The C function: the C++ one allocates its argument list in each call.
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, source_.get()},
        {DNNL_ARG_WEIGHTS, weights_.get()},
        {DNNL_ARG_DST, target_.get()},
        {DNNL_ARG_SCRATCHPAD, scratchpad_.get()},
    };
    const dnnl_status_t status = dnnl_primitive_execute(
        primitive_.get(), stream.get(), std::size(arguments), arguments);
    TANDEM_CHECK(status == dnnl_success);
  }

 private:
  dnnl::matmul primitive_;
  dnnl::memory source_;
  dnnl::memory weights_;
  dnnl::memory target_;
  dnnl::memory scratchpad_;
};

// What one thread needs to run slices of any shape. Throws dnnl::error when
// memory is out.
class ThreadContext {
 public:
  ThreadContext()
      : stream_(CpuEngine()), target_(kCallRowsMax * kSliceOutputs) {}

  // The result of `source` [class rows, K] times one slice, in target().
  void Run(const Shape& shape, size_t row_class, const void* source,
           const void* weights) {
    const ClassCall& call = CallsOf(shape)[row_class];
    call.Run(stream_, source, weights, target_.data(), scratchpad_.data());
  }

  const float* target() const { return target_.data(); }

 private:
  struct ShapeCalls {
    int64_t inputs;
    std::vector<ClassCall> calls;
  };

  const std::vector<ClassCall>& CallsOf(const Shape& shape) {
    for (const ShapeCalls& known : shapes_) {
      if (known.inputs == shape.inputs) return known.calls;
    }
    ShapeCalls made{.inputs = shape.inputs, .calls = {}};
    size_t scratchpad_bytes = scratchpad_.size();
    for (size_t i = 0; i < kClassCount; ++i) {
      made.calls.emplace_back(shape, i);
      scratchpad_bytes =
          std::max(scratchpad_bytes, made.calls.back().scratchpad_bytes());
    }
    if (scratchpad_bytes > scratchpad_.size()) {
      scratchpad_ = AlignedBuffer<uint8_t>(scratchpad_bytes);
    }
    shapes_.push_back(std::move(made));
    return shapes_.back().calls;
  }

  dnnl::stream stream_;
  AlignedBuffer<float> target_;  // [kCallRowsMax, kSliceOutputs]
  AlignedBuffer<uint8_t> scratchpad_;
  std::vector<ShapeCalls> shapes_;  // one per distinct K
};

void StoreElement(NumericsMode mode, float value, int64_t index,
                  uint8_t* data) {
  if (mode == NumericsMode::kBf16) {
    const uint16_t bits = FloatToBf16(value);
    std::memcpy(data + 2 * index, &bits, sizeof(bits));
  } else {
    std::memcpy(data + 4 * index, &value, sizeof(value));
  }
}

float LoadElement(NumericsMode mode, int64_t index, const uint8_t* data) {
  if (mode == NumericsMode::kBf16) {
    uint16_t bits;
    std::memcpy(&bits, data + 2 * index, sizeof(bits));
    return Bf16ToFloat(bits);
  }
  float value;
  std::memcpy(&value, data + 4 * index, sizeof(value));
  return value;
}

// Fills [count] elements with numbers of mixed sign and size that do not
// repeat (a 32-bit linear congruential generator).
void FillForCheck(NumericsMode mode, uint32_t seed, int64_t count,
                  uint8_t* data) {
  uint32_t state = seed;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    StoreElement(mode, static_cast<float>(state >> 8) * 0x1p-23f - 1.0f, i,
                 data);
  }
}

// True when every row has the bits that it has alone, for every row class and
// at many positions: row p of a call is test row p mod 31, so each test row
// stands at positions of every residue modulo 2, 4, 8 and 16.
bool CheckRowInvariance(const Shape& shape) {
  constexpr int64_t kTestRows = 31;
  const int64_t row_bytes = shape.inputs * ElementBytes(shape.mode);
  AlignedBuffer<uint8_t> weights(shape.weights.get_size());
  FillForCheck(shape.mode, 1, shape.inputs * kSliceOutputs, weights.data());
  AlignedBuffer<uint8_t> rows(kCallRowsMax * row_bytes);
  FillForCheck(shape.mode, 2, kTestRows * shape.inputs, rows.data());
  for (int64_t p = kTestRows; p < kCallRowsMax; ++p) {
    std::memcpy(rows.data() + p * row_bytes,
                rows.data() + p % kTestRows * row_bytes, row_bytes);
  }
  ThreadContext context;
  AlignedBuffer<float> alone(kTestRows * kSliceOutputs);
  for (int64_t row = 0; row < kTestRows; ++row) {
    context.Run(shape, 0, rows.data() + row * row_bytes, weights.data());
    std::memcpy(alone.data() + row * kSliceOutputs, context.target(),
                kSliceOutputs * sizeof(float));
  }
  for (size_t i = 0; i < kClassCount; ++i) {
    context.Run(shape, i, rows.data(), weights.data());
    for (int64_t row = 0; row < kRowClasses[i]; ++row) {
      if (std::memcmp(context.target() + row * kSliceOutputs,
                      alone.data() + row % kTestRows * kSliceOutputs,
                      kSliceOutputs * sizeof(float)) != 0) {
        return false;
      }
    }
  }
  return true;
}

absl::Status CheckMode(NumericsMode mode) {
  if (mode != NumericsMode::kBf16) return absl::OkStatus();
  const int isa = static_cast<int>(dnnl_get_effective_cpu_isa());
  constexpr int kNeeded = static_cast<int>(dnnl_cpu_isa_avx512_core);
  if (CpuHasBf16Matmul() && (isa & kNeeded) == kNeeded) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      {.reason = kReasonUnsupportedNumerics},
      absl::StrCat("numerics bf16 needs AVX-512 (F, BW, DQ, VL), which this "
                   "machine or oneDNN's setting has not (",
                   OnednnSignature(), "); load with numerics f32"));
}

}  // namespace

struct OnednnMatrix::State {
  Shape shape;
  int64_t outputs = 0;
  int64_t inputs = 0;
  bool row_invariant = false;
  int64_t slice_bytes = 0;
  HugePageBuffer data;  // [slices][slice_bytes]

  int64_t slices() const {
    return (outputs + kSliceOutputs - 1) / kSliceOutputs;
  }
  BlockedLayout layout() const {
    return {shape.weights.data.format_desc.blocking};
  }
  // `offsets` [inputs] of the layout's k; `row` [inputs] is scratch.
  void FillRow(const LinearSource& source, int64_t output,
               const int64_t* offsets, float* row);
};

void OnednnMatrix::State::FillRow(const LinearSource& source, int64_t output,
                                  const int64_t* offsets, float* row) {
  Dequantize(source.type,
             source.data.data() + output * WeightBytes(source.type, inputs),
             inputs, row);
  uint8_t* slice = data.data() + output / kSliceOutputs * slice_bytes;
  const int64_t base = layout().Offset(1, output % kSliceOutputs);
  for (int64_t k = 0; k < inputs; ++k) {
    StoreElement(shape.mode, row[k], base + offsets[k], slice);
  }
}

OnednnMatrix::OnednnMatrix(std::unique_ptr<const State> state)
    : state_(std::move(state)) {}
OnednnMatrix::OnednnMatrix(OnednnMatrix&&) noexcept = default;
OnednnMatrix& OnednnMatrix::operator=(OnednnMatrix&&) noexcept = default;
OnednnMatrix::~OnednnMatrix() = default;

absl::StatusOr<OnednnMatrix> OnednnMatrix::Create(const LinearSource& source,
                                                  NumericsMode mode,
                                                  ThreadTeam* team) {
  TANDEM_RETURN_IF_ERROR(CheckMode(mode));
  UseOneOpenMpThread();
  auto state = std::make_unique<State>();
  state->outputs = source.outputs;
  state->inputs = source.inputs;
  try {
    state->shape = MakeShape(mode, source.inputs);
    state->row_invariant = CheckRowInvariance(state->shape);
  } catch (const dnnl::error& error) {
    return absl::InternalError(absl::StrCat(
        "oneDNN can not make a matmul of ", source.inputs, " inputs in mode ",
        NumericsModeName(mode), ": ", error.what()));
  }
  if (!IsPlainBlocked(state->shape.weights)) {
    return absl::InternalError(absl::StrCat(
        "oneDNN wants an unknown weight layout for ", source.inputs,
        " inputs in mode ", NumericsModeName(mode)));
  }
  state->slice_bytes =
      RoundUp(static_cast<int64_t>(state->shape.weights.get_size()),
              static_cast<int64_t>(kBufferAlignment));
  state->data = HugePageBuffer(state->slices() * state->slice_bytes);
  std::vector<int64_t> offsets(source.inputs);
  for (int64_t k = 0; k < source.inputs; ++k) {
    offsets[k] = state->layout().Offset(0, k);
  }
  team->ParallelFor(
      source.outputs, kSliceOutputs, [&](int64_t begin, int64_t end) {
        std::vector<float> row(source.inputs);
        for (int64_t output = begin; output < end; ++output) {
          state->FillRow(source, output, offsets.data(), row.data());
        }
      });
  return OnednnMatrix(std::move(state));
}

int64_t OnednnMatrix::PackedBytes(NumericsMode mode, int64_t outputs,
                                  int64_t inputs) {
  return RoundUp(outputs, kSliceOutputs) * RoundUp(inputs, kInputsMultiple) *
         ElementBytes(mode);
}

int64_t OnednnMatrix::outputs() const { return state_->outputs; }

int64_t OnednnMatrix::inputs() const { return state_->inputs; }

int64_t OnednnMatrix::slices() const { return state_->slices(); }

int64_t OnednnMatrix::bytes() const {
  return static_cast<int64_t>(state_->data.size());
}

bool OnednnMatrix::row_invariant() const { return state_->row_invariant; }

void OnednnMatrix::DequantizeRow(int64_t output, float* out) const {
  const uint8_t* slice =
      state_->data.data() + output / kSliceOutputs * state_->slice_bytes;
  const BlockedLayout blocked = state_->layout();
  const int64_t base = blocked.Offset(1, output % kSliceOutputs);
  for (int64_t k = 0; k < state_->inputs; ++k) {
    out[k] =
        LoadElement(state_->shape.mode, base + blocked.Offset(0, k), slice);
  }
}

struct OnednnInput::State {
  NumericsMode mode;
  int64_t rows_max;
  int64_t inputs_max;
  int64_t rows = 0;
  int64_t padded_inputs = 0;
  // [rows, padded_inputs], with rows up to the last call's class.
  AlignedBuffer<uint8_t> data;
  std::vector<std::unique_ptr<ThreadContext>> contexts;  // by team member

  const uint8_t* Row(int64_t row) const {
    return data.data() + row * padded_inputs * ElementBytes(mode);
  }
  uint8_t* Row(int64_t row) {
    return data.data() + row * padded_inputs * ElementBytes(mode);
  }
  // Rows with those that pad the last call.
  static int64_t PaddedRows(int64_t count) {
    const int64_t rest = count % kCallRowsMax;
    return rest == 0 ? count : count - rest + kRowClasses[ClassOf(rest)];
  }
};

OnednnInput::OnednnInput(NumericsMode mode, int64_t rows_max,
                         int64_t inputs_max)
    : state_(new State{.mode = mode,
                       .rows_max = rows_max,
                       .inputs_max = inputs_max,
                       .data = {},
                       .contexts = {}}) {
  state_->data = AlignedBuffer<uint8_t>((rows_max + kCallRowsMax) *
                                        RoundUp(inputs_max, kInputsMultiple) *
                                        ElementBytes(mode));
}

OnednnInput::~OnednnInput() = default;

void OnednnInput::Set(const float* x, int64_t rows, int64_t inputs,
                      const KernelTable& kernels, ThreadTeam* team) {
  State& state = *state_;
  TANDEM_CHECK(rows <= state.rows_max && inputs <= state.inputs_max);
  while (static_cast<int>(state.contexts.size()) < team->size()) {
    state.contexts.push_back(std::make_unique<ThreadContext>());
  }
  state.rows = rows;
  state.padded_inputs = RoundUp(inputs, kInputsMultiple);
  const int64_t bytes = ElementBytes(state.mode);
  team->ParallelFor(rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      uint8_t* out = state.Row(row);
      if (state.mode == NumericsMode::kBf16) {
        kernels.float_to_bf16(x + row * inputs, inputs,
                              reinterpret_cast<uint16_t*>(out));
      } else {
        std::memcpy(out, x + row * inputs, inputs * bytes);
      }
      std::memset(out + inputs * bytes, 0,
                  (state.padded_inputs - inputs) * bytes);
    }
  });
  const int64_t padding = State::PaddedRows(rows) - rows;
  std::memset(state.Row(rows), 0, padding * state.padded_inputs * bytes);
}

void OnednnInput::Multiply(const OnednnMatrix& matrix, const Slices& slices,
                           int member) {
  UseOneOpenMpThread();
  const State& input = *state_;
  const OnednnMatrix::State& weights = matrix.state();
  TANDEM_CHECK(input.mode == weights.shape.mode &&
               input.padded_inputs == weights.shape.inputs);
  ThreadContext& context = *input.contexts[member];
  const int64_t rows_per_call =
      weights.row_invariant ? kCallRowsMax : int64_t{1};
  for (int64_t slice = slices.begin; slice < slices.end; ++slice) {
    const int64_t first_output = slice * kSliceOutputs;
    const int64_t outputs =
        std::min(kSliceOutputs, weights.outputs - first_output);
    const uint8_t* data = weights.data.data() + slice * weights.slice_bytes;
    for (int64_t row = 0; row < input.rows; row += rows_per_call) {
      const int64_t rows = std::min(rows_per_call, input.rows - row);
      context.Run(weights.shape, ClassOf(rows), input.Row(row), data);
      for (int64_t r = 0; r < rows; ++r) {
        std::memcpy(slices.y + (row + r) * slices.y_stride + first_output,
                    context.target() + r * kSliceOutputs,
                    outputs * sizeof(float));
      }
    }
  }
}

std::string OnednnSignature() {
  const dnnl_version_t* version = dnnl_version();
  return absl::StrCat("oneDNN ", version->major, ".", version->minor, ".",
                      version->patch, ", instruction set ",
                      static_cast<int>(dnnl_get_effective_cpu_isa()));
}

}  // namespace tandem
