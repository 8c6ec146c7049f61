// Calls methods by their names, with an API key or without: for tests of who
// may call what.

#ifndef TANDEM_TESTS_SERVICES_ACCESS_GENERIC_CALL_H_
#define TANDEM_TESTS_SERVICES_ACCESS_GENERIC_CALL_H_

#include <google/protobuf/descriptor.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/base/check.h"
#include "services/common/channel.h"

namespace tandem {

// A channel that sends `key` with each call; empty: none.
inline std::shared_ptr<grpc::Channel> ChannelWithKey(const std::string& address,
                                                     const std::string& key) {
  return MakeChannel(NamedAddress{.address = address},
                     grpc::InsecureChannelCredentials(), {.bearer_key = key});
}

// The status of a call with one request of these bytes; of a stream that has
// more answers than one, some error of gRPC's client.
inline grpc::Status CallMethod(const std::shared_ptr<grpc::Channel>& channel,
                               const std::string& method,
                               const std::string& request_bytes = "") {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(60));
  const grpc::Slice slice(request_bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, method, {}, &request, &response,
                 [&status, &done](grpc::Status result) {
                   status = std::move(result);
                   done.Notify();
                 });
  done.WaitForNotification();
  return status;
}

// "/package.Service/Method" of all services in the files under `root`, the
// folder proto, that this program links.
inline std::vector<std::string> LinkedMethods(
    const std::filesystem::path& root) {
  std::vector<std::string> methods;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".proto") continue;
    const google::protobuf::FileDescriptor* const file =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(
            entry.path().lexically_relative(root).string());
    if (file == nullptr) continue;
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        methods.push_back(absl::StrCat("/", file->service(i)->full_name(), "/",
                                       file->service(i)->method(j)->name()));
      }
    }
  }
  TANDEM_CHECK(!methods.empty());
  return methods;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_ACCESS_GENERIC_CALL_H_
