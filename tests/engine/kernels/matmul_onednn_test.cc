#include "engine/kernels/matmul_onednn.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/base/error_reason.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

// oneDNN reads ONEDNN_MAX_CPU_ISA once a process: the tests below run again in
// a child where it is AVX2.
constexpr char kChildVariable[] = "TANDEM_TEST_AVX2_CHILD";

bool IsAvx2Child() { return std::getenv(kChildVariable) != nullptr; }

absl::StatusOr<OnednnMatrix> Make(const TestMatrix& matrix, NumericsMode mode,
                                  ThreadTeam* team) {
  return OnednnMatrix::Create(matrix.source, mode, team);
}

TEST(OnednnMatrixTest, RowsAreInvariantOnAvx512) {
  if (!CpuHasBf16Matmul() || IsAvx2Child()) GTEST_SKIP() << "no AVX-512";
  ThreadTeam team(1);
  for (int64_t inputs : {64, 288, 1024}) {
    const TestMatrix matrix(TensorType::kF32, 70, inputs, 1);
    for (NumericsMode mode : {NumericsMode::kF32, NumericsMode::kBf16}) {
      const absl::StatusOr<OnednnMatrix> made = Make(matrix, mode, &team);
      ASSERT_TRUE(made.ok()) << made.status();
      // Without bf16 instructions oneDNN multiplies bf16 by other kernels for
      // other row counts (seen on an Ice Lake Xeon); then rows run one by one.
      if (mode == NumericsMode::kF32 || __builtin_cpu_supports("avx512bf16")) {
        EXPECT_TRUE(made->row_invariant()) << inputs;
      }
      EXPECT_EQ(made->slices(), 2);
    }
  }
}

// In the child: whatever the check finds, rows have one set of bits.
TEST(OnednnMatrixTest, F32RowsKeepTheirBitsInAnyCompany) {
  ThreadTeam team(2);
  const int64_t inputs = 512;
  const int64_t outputs = 96;
  const TestMatrix matrix(TensorType::kF32, outputs, inputs, 2);
  const Linear linear =
      Linear::Create(matrix.source, NumericsMode::kF32, &team).value();
  const int64_t rows = 33;
  const std::vector<float> x = RandomFloats(rows * inputs, 3);
  const std::vector<float> all =
      Product(linear, NumericsMode::kF32, x, rows, SimdLevel::kScalar, &team);
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<float> a(x.begin() + row * inputs,
                               x.begin() + (row + 1) * inputs);
    const std::vector<float> alone =
        Product(linear, NumericsMode::kF32, a, 1, SimdLevel::kScalar, &team);
    EXPECT_TRUE(SameBits(alone.data(), all.data() + row * outputs, outputs));
    double exact = 0;
    double magnitude = 0;
    for (int64_t k = 0; k < inputs; ++k) {
      exact += static_cast<double>(a[k]) * matrix.values[k];
      magnitude += std::abs(a[k] * matrix.values[k]);
    }
    // One rounding of 2^-24 of the running sum for each of K additions.
    EXPECT_NEAR(alone[0], exact, magnitude * inputs * 0x1p-24);
  }
}

TEST(OnednnMatrixTest, RefusesBf16BelowAvx512) {
  if (CpuHasBf16Matmul() && !IsAvx2Child()) GTEST_SKIP() << "has AVX-512";
  ThreadTeam team(1);
  const TestMatrix matrix(TensorType::kBF16, 64, 64, 4);
  const absl::Status status = Make(matrix, NumericsMode::kBf16, &team).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedNumerics);
}

TEST(OnednnMatrixTest, WorksWithAvx2Only) {
  if (IsAvx2Child()) GTEST_SKIP() << "is the child";
  if (DetectedSimdLevel() < SimdLevel::kAvx2) GTEST_SKIP() << "no AVX2";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    setenv(kChildVariable, "1", 1);
    setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
    execl("/proc/self/exe", "onednn_avx2",
          "--gtest_filter=OnednnMatrixTest.*:*_f32*", nullptr);
    _exit(127);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(OnednnSignatureTest, NamesVersionAndInstructionSet) {
  const std::string signature = OnednnSignature();
  EXPECT_EQ(signature.rfind("oneDNN 2.", 0), 0u) << signature;
  EXPECT_NE(signature.find("instruction set"), std::string::npos);
}

}  // namespace
}  // namespace tandem
