// A worker over gRPC, in process, with the fake model: for tests of the pool
// and of the whole service. Owned by the test.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_WORKER_SERVICE_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_WORKER_SERVICE_H_

#include <grpcpp/server.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

struct FakeWorkerOptions {
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  std::string address = "127.0.0.1:0";
  std::string model_id = "fake";
  std::string fingerprint = "fingerprint-1";
  std::string vocabulary_variant = {};
  int fillers = 0;  // tokens of the vocabulary that no text yields
  int64_t context_max = 100000;
  int64_t models_generation = 0;  // at first
  // Decode answers with this, where it is not OK.
  grpc::Status decode_status = {};
};

class FakeDecodeReactor;
class FakeDescribeReactor;
class FakeWatchReactor;

class FakeWorkerService final : public v1::WorkerService::CallbackService {
 public:
  explicit FakeWorkerService(const FakeWorkerOptions& options);

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest* request,
                                     v1::DescribeResponse* response) override;
  grpc::ServerWriteReactor<v1::GetTokenizerResponse>* GetTokenizer(
      grpc::CallbackServerContext* context,
      const v1::GetTokenizerRequest* request) override;
  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(
      grpc::CallbackServerContext* context,
      const v1::WatchRequest* request) override;
  grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* Decode(
      grpc::CallbackServerContext* context) override;

  const FakeWorkerOptions& options() const { return options_; }
  const std::string& tokenizer_image() const { return image_; }
  const std::string& vocabulary_fingerprint() const { return vocabulary_; }

  // Decode streams open now, and opened ever.
  std::atomic<int> streams{0};
  std::atomic<int> opened{0};
  // Requests are not answered while this is set; Release answers them.
  std::atomic<bool> hold{false};
  // No held stream may end meanwhile.
  void Release();
  // As a process that is stopped: nothing is answered but opens, and nothing
  // reported; false: goes on with what it was asked meanwhile.
  void SetSilent(bool silent);
  // Streams fail with UNAVAILABLE after so many answers; -1: never.
  std::atomic<int> fail_after{-1};
  std::atomic<bool> draining{false};
  std::atomic<bool> loading{false};
  // Of the last Decode call; empty: it had none.
  std::string last_traceparent();
  // Of the Decode stream that was opened last.
  v1::OpenSequence last_open();
  // Models that it has: the options' one, then fake-2, fake-3 and so on.
  std::atomic<int> models{1};
  std::atomic<int64_t> models_generation;
  // KV pages of each model but the first.
  std::atomic<int64_t> other_pages_free{100000};
  // Of its model number `i`, from 1.
  std::string ModelId(int i) const;
  // Tells those that watch how things stand.
  void Report();

 private:
  const FakeWorkerOptions options_;
  const std::string image_;
  friend class FakeDecodeReactor;
  friend class FakeDescribeReactor;
  friend class FakeWatchReactor;

  std::string vocabulary_;
  int vocab_size_ = 0;
  std::mutex mutex_;
  std::string last_traceparent_;          // guarded by mutex_
  v1::OpenSequence last_open_;            // guarded by mutex_
  bool silent_ = false;                   // guarded by mutex_
  std::set<FakeDecodeReactor*> held_;     // guarded by mutex_
  std::set<FakeDescribeReactor*> asked_;  // in silence; guarded by mutex_
  std::set<FakeWatchReactor*> watchers_;  // guarded by mutex_
};

// The service, listening.
class FakeWorker {
 public:
  explicit FakeWorker(const FakeWorkerOptions& options = {});
  ~FakeWorker();

  FakeWorker(const FakeWorker&) = delete;
  FakeWorker& operator=(const FakeWorker&) = delete;

  const std::string& address() const { return address_; }
  FakeWorkerService& service() { return service_; }

 private:
  FakeWorkerService service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_WORKER_SERVICE_H_
