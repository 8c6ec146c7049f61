#include "services/worker/models/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class ModelFolderTest : public ::testing::Test {
 protected:
  ModelFolderTest()
      : root_(absl::StrCat(::testing::TempDir(), "model-folder-", getpid())) {
    fs::create_directories(root_ / "models" / "deep");
    Write(root_ / "models" / "a.gguf");
    Write(root_ / "models" / "deep" / "b.gguf");
    Write(root_ / "secret.gguf");
    fs::create_symlink(root_ / "secret.gguf", root_ / "models" / "out.gguf");
    fs::create_symlink(root_, root_ / "models" / "up");
    fs::create_symlink(root_ / "models" / "a.gguf",
                       root_ / "models" / "in.gguf");
    Write(root_ / "models-of-others");
  }
  ~ModelFolderTest() override { fs::remove_all(root_); }

  static void Write(const fs::path& path) { std::ofstream(path) << "x"; }

  absl::StatusOr<std::string> Find(const std::string& name) {
    return FindInModelFolder((root_ / "models").string(), name);
  }

  const fs::path root_;
};

TEST_F(ModelFolderTest, FindsFilesInside) {
  const std::string root = fs::canonical(root_ / "models").string();
  EXPECT_EQ(Find("a.gguf").value(), root + "/a.gguf");
  EXPECT_EQ(Find("./a.gguf").value(), root + "/a.gguf");
  EXPECT_EQ(Find("deep/b.gguf").value(), root + "/deep/b.gguf");
  EXPECT_EQ(Find("in.gguf").value(), root + "/a.gguf");
  // The folder itself may be named by a link.
  EXPECT_EQ(
      FindInModelFolder((root_ / "models" / "up" / "models").string(), "a.gguf")
          .value(),
      root + "/a.gguf");
}

TEST_F(ModelFolderTest, NothingLeadsOutside) {
  for (const std::string& name :
       {std::string(""), std::string("/etc/passwd"),
        (root_ / "models" / "a.gguf").string(), std::string("../secret.gguf"),
        std::string("deep/../../secret.gguf"), std::string("deep/.."),
        std::string("out.gguf"), std::string("up/secret.gguf"),
        std::string("../models-of-others"), std::string("a.gguf\0b", 8)}) {
    const absl::Status status = Find(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(root_.string())))
        << "tells a path of the server";
  }
}

TEST_F(ModelFolderTest, WhatIsNotThere) {
  EXPECT_EQ(Find("c.gguf").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Find("deep").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Find("a.gguf/b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindInModelFolder("", "a.gguf").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FindInModelFolder("/no/such/folder", "a.gguf").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(WithFileNamesTest, NoFolderIsTold) {
  const auto message = [](absl::string_view text, const std::string& path) {
    return std::string(
        WithFileNames(absl::InvalidArgumentError(text), path).message());
  };
  EXPECT_EQ(message("/data/models/a.gguf: bad magic", "/data/models/a.gguf"),
            "a.gguf: bad magic");
  EXPECT_EQ(message("can not open /x y/z w.gguf (see /etc/a)", "/x y/z w.gguf"),
            "can not open z w.gguf (see a)");
  EXPECT_EQ(message("\"/run/turn\", /a/b/: 3/4 of x/y and/or ./z", ""),
            "\"turn\", : 3/4 of x/y and/or ./z");
  EXPECT_EQ(message("ends with /", ""), "ends with ");
}

TEST(WithFileNamesTest, TheReasonStays) {
  const absl::Status status = WithFileNames(
      InvalidField("path", "must be relative to the model folder"), "");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "path");
}

}  // namespace
}  // namespace tandem
