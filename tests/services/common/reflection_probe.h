// Asks a server for reflection, by hand: the proto is not packaged.

#ifndef TANDEM_TESTS_SERVICES_COMMON_REFLECTION_PROBE_H_
#define TANDEM_TESTS_SERVICES_COMMON_REFLECTION_PROBE_H_

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <string>

#include "absl/synchronization/notification.h"
#include "services/common/channel.h"

namespace tandem {

// The status of a question for the list of services: OK where reflection is
// served, UNIMPLEMENTED where it is not.
inline grpc::StatusCode AskReflection(const std::string& address) {
  grpc::GenericStub stub(
      MakeChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(60));
  // Field 7, list_services.
  const grpc::Slice slice(std::string("\x3a\x01*"));
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", {},
      &request, &response, [&status, &done](grpc::Status result) {
        status = std::move(result);
        done.Notify();
      });
  done.WaitForNotification();
  return status.error_code();
}

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COMMON_REFLECTION_PROBE_H_
