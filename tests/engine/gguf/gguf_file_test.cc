#include "engine/gguf/gguf_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/gguf/gguf_writer.h"
#include "tests/engine/gguf/raw_gguf.h"

namespace tandem {
namespace {

constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";

// A small good file with one entry of each kind that the writer sets.
std::string GoodFile() {
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetUint32("a.uint32", 7);
  writer.SetUint64("a.uint64", 1ull << 40);
  writer.SetInt32("a.int32", -3);
  writer.SetFloat32("a.float32", 0.5f);
  writer.SetBool("a.bool", true);
  writer.SetStringArray("a.strings", {"x", "", "yz"});
  writer.SetFloat32Array("a.floats", {1.0f, -2.0f});
  writer.SetInt32Array("a.ints", {1, 2, 3});
  const std::vector<uint8_t> data(64, 9);
  writer.AddTensor("first", TensorType::kF32, {4, 2},
                   absl::MakeConstSpan(data).first(32));
  writer.AddTensor("second", TensorType::kQ8_0, {32},
                   absl::MakeConstSpan(data).first(34));
  return writer.Serialize();
}

TEST(GgufFileTest, ReadsWhatTheWriterWrote) {
  const auto file = GgufFile::FromBytes(GoodFile(), "good");
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufFile& gguf = **file;
  EXPECT_EQ(gguf.version(), 3u);
  EXPECT_EQ(gguf.alignment(), 32u);
  EXPECT_EQ(gguf.name(), "good");
  EXPECT_EQ(*gguf.GetString("general.architecture"), "llama");
  EXPECT_EQ(*gguf.GetUint("a.uint32"), 7u);
  EXPECT_EQ(*gguf.GetUint("a.uint64"), 1ull << 40);
  EXPECT_EQ(*gguf.GetFloat("a.float32"), 0.5);
  EXPECT_EQ(*gguf.GetBool("a.bool"), true);
  const GgufArray* strings = *gguf.GetArray("a.strings");
  EXPECT_EQ(strings->size(), 3u);
  EXPECT_EQ(std::get<std::vector<absl::string_view>>(strings->values)[2], "yz");
  EXPECT_EQ(
      std::get<std::vector<double>>((*gguf.GetArray("a.floats"))->values)[1],
      -2.0);
  EXPECT_EQ(
      std::get<std::vector<int64_t>>((*gguf.GetArray("a.ints"))->values)[2], 3);
  ASSERT_EQ(gguf.tensors().size(), 2u);
  const GgufTensor* second = gguf.FindTensor("second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->bytes, 34u);
  EXPECT_EQ(second->offset % 32, 0u);
  EXPECT_EQ(*gguf.ReadTensor(*second), std::vector<uint8_t>(34, 9));
  EXPECT_EQ(gguf.FindTensor("third"), nullptr);
  EXPECT_EQ(gguf.FindEntry("a.third"), nullptr);
}

TEST(GgufFileTest, OpensTheDemoModel) {
  const auto file = GgufFile::Open(kTargetModel);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().size(), 56u);
  EXPECT_EQ((*file)->entries().size(), 26u);
  EXPECT_EQ(*(*file)->GetUint("llama.block_count"), 6u);
}

// Kilobytes of memory that the process holds.
int64_t ResidentKb() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (absl::StartsWith(line, "VmRSS:")) return std::stoll(line.substr(6));
  }
  return -1;
}

TEST(GgufFileTest, TensorsAreReadInPiecesAndAreNotHeld) {
  const int64_t before = ResidentKb();
  const auto file = *GgufFile::Open(kTargetModel);
  std::ifstream stream(kTargetModel, std::ios::binary);
  std::vector<uint8_t> piece(4096);
  std::string wanted(piece.size(), '\0');
  for (const GgufTensor& tensor : file->tensors()) {
    for (uint64_t begin = 0; begin < tensor.bytes; begin += piece.size()) {
      const size_t size =
          std::min<uint64_t>(piece.size(), tensor.bytes - begin);
      const auto out = absl::MakeSpan(piece).first(size);
      ASSERT_TRUE(file->ReadTensor(tensor, begin, out).ok());
      stream.seekg(static_cast<std::streamoff>(tensor.offset + begin));
      stream.read(wanted.data(), static_cast<std::streamsize>(size));
      ASSERT_TRUE(std::equal(out.begin(), out.end(),
                             reinterpret_cast<uint8_t*>(wanted.data())));
    }
  }
  // The head of the file, of 6 MB, takes far less.
  EXPECT_LT(ResidentKb(), before + 2048);
}

TEST(GgufFileTest, ReadsEveryValueType) {
  const auto file = GgufFile::FromBytes(FileOfAllTypes(), "all");
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufFile& gguf = **file;
  EXPECT_EQ(*gguf.GetUint("n.uint8"), 0xFFu);
  EXPECT_EQ(*gguf.GetUint("n.uint16"), 0xFFFFu);
  EXPECT_EQ(*gguf.GetUint("n.uint32"), 0xFFFFFFFFu);
  EXPECT_EQ(*gguf.GetUint("n.uint64"), UINT64_MAX);
  const auto signed_value = [&gguf](absl::string_view key) {
    return std::get<int64_t>(gguf.FindEntry(key)->value);
  };
  EXPECT_EQ(signed_value("n.int8"), -1);
  EXPECT_EQ(signed_value("n.int16"), -2);
  EXPECT_EQ(signed_value("n.int32"), -3);
  EXPECT_EQ(signed_value("n.int64"), INT64_MIN);
  EXPECT_EQ(*gguf.GetFloat("n.float32"), 1.5);
  EXPECT_EQ(*gguf.GetFloat("n.float64"), -0.1);
  EXPECT_EQ(*gguf.GetBool("n.bool"), true);
  EXPECT_EQ(*gguf.GetString("n.string"), "text");
  EXPECT_EQ(gguf.entries()[0].offset, 24u);
  using Unsigned = std::vector<uint64_t>;
  using Signed = std::vector<int64_t>;
  const auto values = [&gguf](absl::string_view key) {
    return (*gguf.GetArray(key))->values;
  };
  EXPECT_EQ(std::get<Unsigned>(values("a.uint8")), (Unsigned{1, 0xFF}));
  EXPECT_EQ(std::get<Unsigned>(values("a.uint16")), Unsigned{0xFFFF});
  EXPECT_EQ(std::get<Unsigned>(values("a.uint32")), Unsigned{0xFFFFFFFF});
  EXPECT_EQ(std::get<Unsigned>(values("a.uint64")), Unsigned{UINT64_MAX});
  EXPECT_EQ(std::get<Unsigned>(values("a.bool")), (Unsigned{1, 0}));
  EXPECT_EQ(std::get<Signed>(values("a.int8")), Signed{-128});
  EXPECT_EQ(std::get<Signed>(values("a.int16")), Signed{-5});
  EXPECT_EQ(std::get<Signed>(values("a.int32")), Signed{-6});
  EXPECT_EQ(std::get<Signed>(values("a.int64")), Signed{-7});
  EXPECT_EQ(std::get<Signed>(values("a.empty")), Signed{});
  EXPECT_EQ(std::get<std::vector<double>>(values("a.float32"))[0], 0.25);
  EXPECT_EQ(std::get<std::vector<double>>(values("a.float64"))[0], 0.1);
  EXPECT_EQ(std::get<std::vector<absl::string_view>>(values("a.string")),
            (std::vector<absl::string_view>{"", "z"}));
}

void ExpectMalformed(const absl::Status& status, absl::string_view key,
                     absl::string_view what) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_TRUE(absl::StrContains(status.message(), "offset ")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("'", key, "'")))
      << status;
  EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
}

TEST(GgufFileTest, RefusesValuesOfAnotherType) {
  const auto file = GgufFile::FromBytes(FileOfAllTypes(), "all");
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufFile& gguf = **file;
  for (const absl::string_view key :
       {"n.string", "n.float32", "n.bool", "a.int32"}) {
    ExpectMalformed(gguf.GetUint(key).status(), key, "must be an integer");
    ExpectMalformed(gguf.GetUintOr(key, 1).status(), key, "must be an integer");
  }
  ExpectMalformed(gguf.GetUint("n.int32").status(), "n.int32",
                  "is -3, must not be negative");
  for (const absl::string_view key : {"n.uint32", "n.string", "a.float32"}) {
    ExpectMalformed(gguf.GetFloat(key).status(), key, "must be a float");
    ExpectMalformed(gguf.GetFloatOr(key, 1).status(), key, "must be a float");
    ExpectMalformed(gguf.GetBool(key).status(), key, "must be a bool");
    ExpectMalformed(gguf.GetBoolOr(key, true).status(), key, "must be a bool");
  }
  ExpectMalformed(gguf.GetString("n.uint32").status(), "n.uint32",
                  "has type uint32, must be a string");
  ExpectMalformed(gguf.GetArray("n.string").status(), "n.string",
                  "has type string, must be an array");
}

TEST(GgufFileTest, TellsAbsentKeysApart) {
  const auto file = GgufFile::FromBytes(FileOfAllTypes(), "all");
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufFile& gguf = **file;
  EXPECT_EQ(gguf.GetUint("x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gguf.GetFloat("x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gguf.GetBool("x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gguf.GetString("x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gguf.GetArray("x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(gguf.GetArray("x").status().message(), "all: key 'x' is missing");
  EXPECT_EQ(*gguf.GetUintOr("x", 5), 5u);
  EXPECT_EQ(*gguf.GetFloatOr("x", 0.5), 0.5);
  EXPECT_EQ(*gguf.GetBoolOr("x", true), true);
  EXPECT_EQ(gguf.MalformedEntry("x", "is odd").message(),
            "all: key 'x': is odd");
}

TEST(GgufFileTest, NamesEveryValueType) {
  const std::vector<absl::string_view> names = {
      "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
      "bool",  "string", "array",  "uint64", "int64",  "float64"};
  for (uint32_t type = 0; type < names.size(); ++type) {
    EXPECT_EQ(GgufValueTypeName(static_cast<GgufValueType>(type)), names[type]);
  }
}

// A path in the test's folder that is removed at the end.
class TemporaryPath {
 public:
  explicit TemporaryPath(absl::string_view name)
      : path_(absl::StrCat(::testing::TempDir(), "gguf_file_test_", getpid(),
                           "_", name)) {}
  ~TemporaryPath() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void WriteFile(const std::string& path, absl::string_view bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream << bytes;
}

TEST(GgufFileTest, OpensWhatIsOnDisk) {
  const TemporaryPath file("good.gguf");
  WriteFile(file.path(), GoodFile());
  const auto gguf = GgufFile::Open(file.path());
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_EQ((*gguf)->name(), file.path());
  EXPECT_EQ((*gguf)->shard_size(0), GoodFile().size());
  const GgufTensor& tensor = (*gguf)->tensors()[1];
  EXPECT_EQ((*(*gguf)->ReadTensor(tensor))[0], 9);
  EXPECT_TRUE((*gguf)->CheckUnchanged().ok());
  const std::string good = GoodFile();
  EXPECT_EQ(*(*gguf)->ShardSha256(0),
            Sha256OfBytes(
                {reinterpret_cast<const uint8_t*>(good.data()), good.size()}));
}

void ExpectChanged(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(),
                                ".gguf: has changed while it was read"))
      << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
}

// Reading a mapped file would end in SIGBUS here.
TEST(GgufFileTest, AFileThatBecomesShorterIsAnError) {
  for (const off_t size : {off_t{0}, static_cast<off_t>(GoodFile().size()) / 2,
                           static_cast<off_t>(GoodFile().size()) - 40}) {
    const TemporaryPath file("short.gguf");
    WriteFile(file.path(), GoodFile());
    const auto gguf = *GgufFile::Open(file.path());
    ASSERT_EQ(truncate(file.path().c_str(), size), 0);
    ExpectChanged(gguf->ReadTensor(gguf->tensors()[1]).status());
    ExpectChanged(gguf->ShardSha256(0).status());
    ExpectChanged(gguf->CheckUnchanged());
    EXPECT_EQ(*gguf->GetString("general.architecture"), "llama");
  }
}

TEST(GgufFileTest, AFileThatIsRewrittenIsAnError) {
  const TemporaryPath file("rewritten.gguf");
  WriteFile(file.path(), GoodFile());
  const auto gguf = *GgufFile::Open(file.path());
  const auto time = std::filesystem::last_write_time(file.path());
  WriteFile(file.path(), std::string(GoodFile().size(), 'x'));
  // A file system's clock may be coarser than this test is quick.
  std::filesystem::last_write_time(file.path(), time + std::chrono::seconds(1));
  ExpectChanged(gguf->CheckUnchanged());
  EXPECT_EQ(*gguf->GetString("general.architecture"), "llama");
}

TEST(GgufFileTest, AFileThatIsReplacedIsReadToItsEnd) {
  const TemporaryPath file("replaced.gguf");
  const TemporaryPath other("new.gguf");
  WriteFile(file.path(), GoodFile());
  const auto gguf = *GgufFile::Open(file.path());
  WriteFile(other.path(), "new");
  ASSERT_EQ(rename(other.path().c_str(), file.path().c_str()), 0);
  EXPECT_EQ(*gguf->ReadTensor(gguf->tensors()[1]), std::vector<uint8_t>(34, 9));
  EXPECT_TRUE(gguf->CheckUnchanged().ok());
}

TEST(GgufFileTest, RefusesPathsThatAreNotModelFiles) {
  EXPECT_EQ(GgufFile::Open("/nonexistent/model.gguf").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(GgufFile::Open("").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GgufFile::Open(std::string("a\0b", 3)).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GgufFile::Open(std::string(100000, 'x')).status().code(),
            absl::StatusCode::kInvalidArgument);
  const TemporaryPath fifo("fifo");
  ASSERT_EQ(mkfifo(fifo.path().c_str(), 0600), 0);
  const TemporaryPath loop("loop");
  ASSERT_EQ(symlink(loop.path().c_str(), loop.path().c_str()), 0);
  const struct {
    std::string path;
    std::string what;
  } cases[] = {{fifo.path(), ": is a FIFO, not a regular file"},
               {"/dev/zero", ": is a device, not a regular file"}};
  for (const auto& [path, what] : cases) {
    const absl::Status status = GgufFile::Open(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(status.message(), path + what);
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  }
  EXPECT_EQ(GgufFile::Open(loop.path()).status().code(),
            absl::StatusCode::kInvalidArgument);
  const TemporaryPath empty("empty");
  WriteFile(empty.path(), "");
  const absl::Status status = GgufFile::Open(empty.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "the file is empty"));
}

TEST(GgufFileTest, RefusesAFileThatMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const TemporaryPath file("locked.gguf");
  WriteFile(file.path(), GoodFile());
  ASSERT_EQ(chmod(file.path().c_str(), 0), 0);
  EXPECT_EQ(GgufFile::Open(file.path()).status().code(),
            absl::StatusCode::kPermissionDenied);
}

// A file much larger than memory, with nothing in it: its start is read.
TEST(GgufFileTest, RefusesASparseFileAtOnce) {
  const TemporaryPath file("sparse.gguf");
  WriteFile(file.path(), "");
  if (truncate(file.path().c_str(), off_t{1} << 40) != 0) {
    GTEST_SKIP() << "no file of 1 TiB here";
  }
  const absl::Status status = GgufFile::Open(file.path()).status();
  EXPECT_FALSE(status.ok());
}

// A string as long as such a file is not read either.
TEST(GgufFileTest, RefusesAHeadThatIsTooLarge) {
  const TemporaryPath file("long.gguf");
  RawGguf raw(/*tensors=*/0, /*entries=*/1);
  raw.Key("general.name", GgufValueType::kString)
      .Number<uint64_t>(uint64_t{300} << 20);
  WriteFile(file.path(), raw.bytes());
  if (truncate(file.path().c_str(), off_t{1} << 30) != 0) {
    GTEST_SKIP() << "no file of 1 GiB here";
  }
  const int64_t before = ResidentKb();
  const absl::Status status = GgufFile::Open(file.path()).status();
  EXPECT_TRUE(absl::StrContains(
      status.message(),
      "metadata and tensor directory take more than the 268435456 bytes"))
      << status;
  EXPECT_LT(ResidentKb(), before + 2048);
}

}  // namespace
}  // namespace tandem
