#include "engine/model/model_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {
namespace {

constexpr size_t kIdBytesMax = 256;

absl::Status NoModel(absl::string_view id) {
  return UnknownModel(absl::StrCat("no model \"", id, "\""));
}

}  // namespace

// `state` and `model` are guarded by the store's mutex; the rest is used up by
// the one thread that loads.
struct ModelStore::Entry {
  enum class State { kNotLoaded, kLoading, kLoaded };

  std::string path = {};   // AddFile
  std::string bytes = {};  // AddBytes
  ModelOptions options;

  State state = State::kNotLoaded;
  absl::StatusOr<std::shared_ptr<const Model>> model = nullptr;  // kLoaded
};

ModelStore::ModelStore() = default;
ModelStore::~ModelStore() = default;

absl::Status ModelStore::AddFile(absl::string_view id, const std::string& path,
                                 const ModelOptions& options) {
  if (path.empty()) return absl::InvalidArgumentError("the path is empty");
  return Add(id, {.path = path, .options = options});
}

absl::Status ModelStore::AddBytes(absl::string_view id, std::string bytes,
                                  const ModelOptions& options) {
  return Add(id, {.bytes = std::move(bytes), .options = options});
}

absl::Status ModelStore::Add(absl::string_view id, Entry entry) {
  if (id.empty() || id.size() > kIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model id has 1 to ", kIdBytesMax, " bytes, has ", id.size()));
  }
  const absl::MutexLock lock(&mutex_);
  const auto added = std::make_shared<Entry>(std::move(entry));
  if (entries_.emplace(std::string(id), added).second) {
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
    if (found == entries_.end()) return NoModel(id);
    entry = found->second;
    mutex_.Await(absl::Condition(
        +[](Entry* waited) { return waited->state != Entry::State::kLoading; },
        entry.get()));
    if (entry->state == Entry::State::kLoaded) return entry->model;
    entry->state = Entry::State::kLoading;
  }
  // No lock is held here: a load takes long and calls back.
  absl::StatusOr<std::unique_ptr<GgufFile>> file =
      entry->path.empty()
          ? GgufFile::FromBytes(std::move(entry->bytes), std::string(id))
          : GgufFile::Open(entry->path);
  absl::StatusOr<std::shared_ptr<const Model>> model(nullptr);
  if (file.ok()) {
    model = Model::Load(*std::move(file), entry->options);
  } else {
    model = file.status();
  }
  const absl::MutexLock lock(&mutex_);
  entry->state = Entry::State::kLoaded;
  entry->model = model;
  return model;
}

absl::Status ModelStore::Remove(absl::string_view id) {
  std::shared_ptr<Entry> removed;  // freed last, without the lock
  ModelStoreCompanion* companion = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = entries_.find(std::string(id));
    if (found == entries_.end()) return NoModel(id);
    removed = std::move(found->second);
    entries_.erase(found);
    companion = companion_.get();
  }
  if (companion != nullptr) companion->OnRemoved(id);
  return absl::OkStatus();
}

ModelStoreCompanion& ModelStore::Companion(
    std::unique_ptr<ModelStoreCompanion> (*make)()) {
  const absl::MutexLock lock(&mutex_);
  if (companion_ == nullptr) companion_ = make();
  return *companion_;
}

std::vector<std::string> ModelStore::Ids() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  ids.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) ids.push_back(id);
  return ids;
}

}  // namespace tandem
