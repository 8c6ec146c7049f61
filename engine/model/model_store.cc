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

// What a model will take at least, before it is packed.
int64_t TensorBytes(const GgufFile& file) {
  uint64_t bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) bytes += tensor.bytes;
  return static_cast<int64_t>(bytes);
}

}  // namespace

// All but the first four members are guarded by the store's mutex; `bytes` is
// used up by the one thread that loads.
struct ModelStore::Entry {
  enum class State { kNotLoaded, kLoading, kLoaded, kFailed };

  std::string id;
  std::string path;   // AddFile
  std::string bytes;  // AddBytes
  ModelOptions options;

  State state = State::kNotLoaded;
  bool removed = false;  // is no longer in the store and does not count
  absl::Status failure;
  std::shared_ptr<const Model> model;  // kLoaded
  int64_t reserved = 0;                // what it counts for
  uint64_t last_get = 0;
};

ModelStore::ModelStore(const ModelStoreOptions& options) : options_(options) {
  TANDEM_CHECK(options.weight_bytes_max >= 0);
}

ModelStore::~ModelStore() = default;

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
  entry->options = options;
  return Add(id, std::move(entry));
}

absl::Status ModelStore::Add(absl::string_view id,
                             std::shared_ptr<Entry> entry) {
  if (id.empty() || id.size() > kIdBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model id has 1 to ", kIdBytesMax, " bytes, has ", id.size()));
  }
  entry->id = std::string(id);
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
    if (found == entries_.end()) return NoModel(id);
    entry = found->second;
    mutex_.Await(absl::Condition(
        +[](Entry* waited) { return waited->state != Entry::State::kLoading; },
        entry.get()));
    entry->last_get = ++gets_;
    if (entry->state == Entry::State::kLoaded) return entry->model;
    if (entry->state == Entry::State::kFailed) return entry->failure;
    entry->state = Entry::State::kLoading;
  }
  // No lock is held here: a load takes long and calls back.
  return Load(entry.get());
}

absl::StatusOr<std::shared_ptr<const Model>> ModelStore::Load(Entry* entry) {
  absl::StatusOr<std::unique_ptr<GgufFile>> file =
      entry->path.empty()
          ? GgufFile::FromBytes(std::move(entry->bytes), entry->id)
          : GgufFile::Open(entry->path);
  absl::StatusOr<std::shared_ptr<const Model>> loaded(nullptr);
  absl::Status room;
  Models evicted;  // freed last, without the lock
  if (!file.ok()) {
    loaded = file.status();
  } else {
    const int64_t bytes = TensorBytes(**file);
    ReleaseCompanion(bytes);
    {
      const absl::MutexLock lock(&mutex_);
      room = Reserve(entry->id, bytes, &evicted);
      if (room.ok()) entry->reserved = bytes;
    }
    evicted.clear();
    if (room.ok()) loaded = Model::Load(*std::move(file), entry->options);
    if (room.ok() && loaded.ok()) {
      ReleaseCompanion((*loaded)->weight_bytes() - bytes);
    }
  }
  const absl::MutexLock lock(&mutex_);
  // What it was counted for gives way to what it is.
  bytes_ -= std::exchange(entry->reserved, 0);
  if (room.ok() && loaded.ok() && !entry->removed) {
    room = Reserve(entry->id, (*loaded)->weight_bytes(), &evicted);
    if (room.ok()) entry->reserved = (*loaded)->weight_bytes();
  }
  if (!room.ok() && !entry->path.empty()) {
    entry->state = Entry::State::kNotLoaded;
    return room;
  }
  // The bytes of a model from bytes are used up: it can not be tried again.
  if (!room.ok()) loaded = room;
  entry->state = loaded.ok() ? Entry::State::kLoaded : Entry::State::kFailed;
  entry->failure = loaded.status();
  if (loaded.ok()) entry->model = *loaded;
  return loaded;
}

void ModelStore::ReleaseCompanion(int64_t bytes) {
  ModelStoreCompanion* companion = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    const int64_t most = options_.weight_bytes_max;
    if (most > 0 && bytes_ + bytes > most) companion = companion_.get();
  }
  if (companion != nullptr) companion->ReleaseIdle();
}

absl::Status ModelStore::Reserve(absl::string_view what, int64_t bytes,
                                 Models* evicted) {
  const int64_t most = options_.weight_bytes_max;
  while (most > 0 && bytes_ + bytes > most) {
    Entry* idle = FindIdle();
    if (idle == nullptr) {
      return Exhausted(
          absl::StrCat("model \"", what, "\" needs ", bytes, " bytes; ", bytes_,
                       " of at most ", most,
                       " are taken by models that can not go; try later"));
    }
    evicted->push_back(std::move(idle->model));
    bytes_ -= std::exchange(idle->reserved, 0);
    idle->state = Entry::State::kNotLoaded;
  }
  bytes_ += bytes;
  return absl::OkStatus();
}

ModelStore::Entry* ModelStore::FindIdle() {
  Entry* idle = nullptr;
  for (const auto& [id, entry] : entries_) {
    // A use count of 1 is the store's own, and grows by Get alone, which
    // waits for the lock.
    if (entry->state != Entry::State::kLoaded || entry->path.empty() ||
        entry->model.use_count() != 1) {
      continue;
    }
    if (idle == nullptr || entry->last_get < idle->last_get) {
      idle = entry.get();
    }
  }
  return idle;
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
    removed->removed = true;
    bytes_ -= std::exchange(removed->reserved, 0);
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

int64_t ModelStore::weight_bytes() const {
  const absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace tandem
