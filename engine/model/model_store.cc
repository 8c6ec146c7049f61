#include "engine/model/model_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {
namespace {

constexpr size_t kIdBytesMax = 256;

absl::Status UnknownModel(absl::string_view id) {
  return MakeError(absl::StatusCode::kNotFound, {kReasonUnknownModel, {}},
                   absl::StrCat("no model \"", id, "\""));
}

}  // namespace

struct ModelStore::Entry {
  enum class State { kNotLoaded, kLoading, kLoaded };

  // Fixed once added; `bytes` is used up by the one thread that loads.
  std::string path;   // AddFile
  std::string bytes;  // AddBytes
  std::string name;   // for messages about bytes
  ModelOptions options;

  absl::Mutex mutex;
  State state ABSL_GUARDED_BY(mutex) = State::kNotLoaded;
  absl::Status failure ABSL_GUARDED_BY(mutex);
  std::shared_ptr<const Model> model ABSL_GUARDED_BY(mutex);

  absl::StatusOr<std::shared_ptr<const Model>> Load();
};

absl::StatusOr<std::shared_ptr<const Model>> ModelStore::Entry::Load() {
  absl::StatusOr<std::unique_ptr<GgufFile>> file =
      path.empty() ? GgufFile::FromBytes(std::move(bytes), name)
                   : GgufFile::Open(path);
  if (!file.ok()) return file.status();
  return Model::Load(*std::move(file), options);
}

absl::Status ModelStore::AddFile(absl::string_view id, const std::string& path,
                                 const ModelOptions& options) {
  if (path.empty()) return absl::InvalidArgumentError("the path is empty");
  auto entry = std::make_shared<Entry>();
  entry->path = path;
  entry->options = options;
  return Add(id, std::move(entry));
}

absl::Status ModelStore::AddBytes(absl::string_view id, std::string bytes,
                                  const ModelOptions& options) {
  auto entry = std::make_shared<Entry>();
  entry->bytes = std::move(bytes);
  entry->name = std::string(id);
  entry->options = options;
  return Add(id, std::move(entry));
}

absl::Status ModelStore::Add(absl::string_view id,
                             std::shared_ptr<Entry> entry) {
  if (id.empty() || id.size() > kIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model id has 1 to ", kIdBytesMax, " bytes, has ", id.size()));
  }
  const absl::MutexLock lock(&mutex_);
  if (entries_.emplace(std::string(id), std::move(entry)).second) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      absl::StrCat("model \"", id, "\" was added before"));
}

absl::StatusOr<std::shared_ptr<const Model>> ModelStore::Get(
    absl::string_view id) {
  std::shared_ptr<Entry> entry;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(std::string(id));
    if (found == entries_.end()) return UnknownModel(id);
    entry = found->second;
  }
  {
    const absl::MutexLock lock(&entry->mutex);
    entry->mutex.Await(absl::Condition(
        +[](Entry* waited) ABSL_EXCLUSIVE_LOCKS_REQUIRED(waited->mutex) {
          return waited->state != Entry::State::kLoading;
        },
        entry.get()));
    if (entry->state == Entry::State::kLoaded) {
      if (!entry->failure.ok()) return entry->failure;
      return entry->model;
    }
    entry->state = Entry::State::kLoading;
  }
  // No lock is held here: a load takes long and calls back.
  absl::StatusOr<std::shared_ptr<const Model>> loaded = entry->Load();
  const absl::MutexLock lock(&entry->mutex);
  entry->state = Entry::State::kLoaded;
  entry->failure = loaded.status();
  if (loaded.ok()) entry->model = *loaded;
  return loaded;
}

absl::Status ModelStore::Remove(absl::string_view id) {
  const absl::MutexLock lock(&mutex_);
  if (entries_.erase(std::string(id)) == 0) return UnknownModel(id);
  return absl::OkStatus();
}

std::vector<std::string> ModelStore::Ids() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  ids.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) ids.push_back(id);
  return ids;
}

}  // namespace tandem
