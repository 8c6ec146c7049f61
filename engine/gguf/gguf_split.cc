#include "engine/gguf/gguf_split.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/gguf/gguf_error.h"
#include "engine/gguf/gguf_parser.h"

namespace tandem {
namespace {

constexpr char kNumberKey[] = "split.no";
constexpr char kCountKey[] = "split.count";
constexpr char kTensorsKey[] = "split.tensors.count";

constexpr absl::string_view kExtension = ".gguf";
constexpr absl::string_view kOf = "-of-";
constexpr size_t kDigits = 5;

// Takes "-NNNNN" or "-of-NNNNN" off the end of `text`.
std::optional<uint64_t> TakeNumber(absl::string_view before,
                                   absl::string_view* text) {
  const size_t size = before.size() + kDigits;
  if (text->size() < size) return std::nullopt;
  const absl::string_view end = text->substr(text->size() - size);
  uint64_t number = 0;
  if (!absl::StartsWith(end, before) ||
      end.find_first_not_of("0123456789", before.size()) !=
          absl::string_view::npos ||
      !absl::SimpleAtoi(end.substr(before.size()), &number)) {
    return std::nullopt;
  }
  text->remove_suffix(size);
  return number;
}

// The key's value; a missing key is an error of the file.
absl::StatusOr<uint64_t> GetRequired(const GgufFile& file,
                                     absl::string_view key) {
  if (file.FindEntry(key) == nullptr) {
    return file.MalformedEntry(key, "is missing in one of several files");
  }
  return file.GetUint(key);
}

absl::Status CheckEqual(const GgufFile& file, absl::string_view key,
                        uint64_t wanted, absl::string_view why) {
  TANDEM_ASSIGN_OR_RETURN(const uint64_t value, GetRequired(file, key));
  if (value == wanted) return absl::OkStatus();
  return file.MalformedEntry(
      key, absl::StrCat("is ", value, ", must be ", wanted, why));
}

}  // namespace

std::optional<GgufShardName> GgufShardName::Parse(absl::string_view path) {
  if (!absl::EndsWith(path, kExtension)) return std::nullopt;
  path.remove_suffix(kExtension.size());
  const std::optional<uint64_t> count = TakeNumber(kOf, &path);
  if (!count) return std::nullopt;
  const std::optional<uint64_t> number = TakeNumber("-", &path);
  if (!number) return std::nullopt;
  return GgufShardName{
      .stem = std::string(path), .number = *number, .count = *count};
}

std::string GgufShardName::Path() const {
  return absl::StrFormat("%s-%05d-of-%05d.gguf", stem, number, count);
}

absl::Status GgufSplit::CheckWhole(const GgufFile& file) {
  TANDEM_ASSIGN_OR_RETURN(const uint64_t count, file.GetUintOr(kCountKey, 0));
  if (count <= 1) return absl::OkStatus();
  return file.MalformedEntry(
      kCountKey, absl::StrCat("is ", count,
                              ": one of several files can not be loaded from "
                              "memory; merge them"));
}

absl::Status GgufSplit::AddShards(GgufFile* file) {
  GgufSplit split(file);
  TANDEM_RETURN_IF_ERROR(split.ReadFirst());
  if (split.count_ <= 1) return absl::OkStatus();
  for (uint64_t number = 1; number < split.count_; ++number) {
    TANDEM_RETURN_IF_ERROR(split.AddShard(number));
  }
  if (file->tensors_.size() == split.tensors_) return absl::OkStatus();
  return file->MalformedEntry(
      kTensorsKey, absl::StrCat("is ", split.tensors_, ", the ", split.count_,
                                " files hold ", file->tensors_.size()));
}

absl::Status GgufSplit::ReadFirst() {
  TANDEM_ASSIGN_OR_RETURN(count_, first_->GetUintOr(kCountKey, 0));
  if (count_ <= 1) return absl::OkStatus();
  if (count_ > kGgufShardsMax) {
    return first_->MalformedEntry(
        kCountKey,
        absl::StrCat("is ", count_, ", must be at most ", kGgufShardsMax));
  }
  TANDEM_ASSIGN_OR_RETURN(tensors_, GetRequired(*first_, kTensorsKey));
  TANDEM_ASSIGN_OR_RETURN(const uint64_t number,
                          GetRequired(*first_, kNumberKey));
  const std::optional<GgufShardName> name =
      GgufShardName::Parse(first_->name());
  if (number != 0) {
    GgufShardName wanted = name.value_or(GgufShardName());
    wanted.number = 1;
    return first_->MalformedEntry(
        kNumberKey,
        absl::StrCat("is ", number, ": a later one of ", count_,
                     " files; open the first",
                     name ? absl::StrCat(", ", wanted.Path()) : ""));
  }
  if (!name || name->number != 1 || name->count != count_) {
    return first_->MalformedEntry(
        kCountKey, absl::StrCat("is ", count_,
                                absl::StrFormat(", so the name must end in "
                                                "-00001-of-%05d.gguf",
                                                count_)));
  }
  name_ = *name;
  return absl::OkStatus();
}

absl::Status GgufSplit::AddShard(uint64_t number) {
  GgufShardName name = name_;
  name.number = number + 1;
  absl::StatusOr<std::unique_ptr<GgufFile>> shard =
      GgufFile::OpenOne(name.Path());
  if (!shard.ok()) {
    return Annotate(shard.status(),
                    absl::StrCat("file ", number + 1, " of ", count_));
  }
  TANDEM_RETURN_IF_ERROR(CheckShard(**shard, number));
  TANDEM_RETURN_IF_ERROR(TakeTensors(number, shard->get()));
  first_->shards_.push_back(*std::move(shard));
  return absl::OkStatus();
}

absl::Status GgufSplit::CheckShard(const GgufFile& shard,
                                   uint64_t number) const {
  TANDEM_RETURN_IF_ERROR(
      CheckEqual(shard, kNumberKey, number, " by the file's name"));
  TANDEM_RETURN_IF_ERROR(
      CheckEqual(shard, kCountKey, count_, " as in the first file"));
  TANDEM_RETURN_IF_ERROR(
      CheckEqual(shard, kTensorsKey, tensors_, " as in the first file"));
  for (const GgufEntry& entry : shard.entries()) {
    if (absl::StartsWith(entry.key, "split.") ||
        absl::StartsWith(entry.key, "general.")) {
      continue;
    }
    return shard.MalformedEntry(entry.key,
                                "stands in a file after the first, which has "
                                "the metadata");
  }
  return absl::OkStatus();
}

absl::Status GgufSplit::TakeTensors(uint64_t number, GgufFile* shard) {
  if (first_->tensors_.size() + shard->tensors_.size() > kGgufTensorsMax) {
    return shard->MalformedEntry(
        kTensorsKey,
        absl::StrCat("the files hold more than ", kGgufTensorsMax, " tensors"));
  }
  for (GgufTensor& tensor : shard->tensors_) {
    const auto [place, is_new] =
        first_->tensor_index_.emplace(tensor.name, first_->tensors_.size());
    if (!is_new) {
      return GgufError(shard->name(), tensor.offset,
                       absl::StrCat("tensor ", QuoteForError(tensor.name)),
                       "is in an earlier file too");
    }
    tensor.shard = number;
    first_->tensors_.push_back(std::move(tensor));
  }
  shard->tensors_.clear();
  shard->tensor_index_.clear();
  return absl::OkStatus();
}

}  // namespace tandem
