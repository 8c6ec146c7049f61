// A client of a tandem coordinator: turns as streams of events that outlast
// lost connections, and the service's other calls. README.md has an example.
//
// A Client is one channel, with its connection and, under TLS, its
// certificates. Any thread may call it. Errors are statuses that carry the
// ErrorDetail of the service (engine/base/status.h): reason, wrong fields, when
// to try again. One without is gRPC's own: UNAVAILABLE where nobody answers,
// DEADLINE_EXCEEDED of a call's time.

#ifndef TANDEM_SERVICES_CLIENT_CLIENT_H_
#define TANDEM_SERVICES_CLIENT_CLIENT_H_

#include <grpcpp/support/status.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/client/turn_stream.h"
#include "services/common/credentials.h"
#include "tandem/v1/coordinator_admin.pb.h"
#include "tandem/v1/generation.pb.h"

namespace grpc {
class ClientContext;
}  // namespace grpc

namespace tandem::client {

struct TurnSetup;

// What a call that computes no tokens may take at most: a service that takes
// longer is stuck.
inline constexpr absl::Duration kUnaryTimeout = absl::Seconds(30);
// How long one lost connection is tried again; as long as a coordinator looks
// for another target worker.
inline constexpr absl::Duration kResumeFor = absl::Seconds(30);

struct ClientOptions {
  // HOST:PORT, [IPV6]:PORT, unix:PATH or dns:///NAME:PORT.
  std::string address = "127.0.0.1:7070";
  // Without ca: plaintext.
  ChannelTlsFiles tls = {};
  // Through the proxy of the environment (https_proxy, http_proxy).
  bool http_proxy = false;
  // Sent with each call; empty: none. Only where MayCarryKey.
  std::string api_key = {};
  // For each lost connection, until the turn's next token. Zero: a turn ends
  // with the error.
  absl::Duration resume_for = kResumeFor;
};

// Whether a key may go by a channel of these options: by TLS, to a loopback
// address or to a unix socket; a proxy could read along.
bool MayCarryKey(const ClientOptions& options);

// Of one call.
struct CallOptions {
  // In place of ClientOptions::api_key; empty: that one.
  std::string api_key = {};
  // Of the whole call, with its resumes. A turn ends with DEADLINE_EXCEEDED
  // then; TurnRequest::timeout_ms ends it by its own event instead.
  absl::Duration timeout = absl::InfiniteDuration();
  // Of a turn: called before each attempt to go on after a lost connection,
  // while a Next is under way, by a thread of gRPC, which it must not block.
  std::function<void(const LostConnection&)> on_lost = {};
};

class Client {
 public:
  // Makes the channel; the first call connects. Errors: INVALID_ARGUMENT for
  // an address of no known form, TLS files that can not be used, a key that
  // would go in plain text.
  static absl::StatusOr<std::unique_ptr<Client>> Make(ClientOptions options);
  // Leaves the turns that are under way, and waits until their calls are over:
  // some milliseconds. Not inside a callback. A TurnStream may live on; it is
  // over then.
  ~Client();

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Sends the request at once. Errors come with the first Next.
  std::shared_ptr<TurnStream> Start(v1::TurnRequest request,
                                    const CallOptions& call = {});
  // Goes on with a turn, whoever has started it. The first event is `started`;
  // then follows what comes after `from`.
  std::shared_ptr<TurnStream> Resume(const TurnPosition& from,
                                     const CallOptions& call = {});

  // Blocking; not on a thread of gRPC.
  absl::StatusOr<v1::TokenizeResponse> Tokenize(
      const v1::TokenizeRequest& request, const CallOptions& call = {});
  // Takes as long as the model computes.
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request,
                                          const CallOptions& call = {});
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(
      const v1::DetokenizeRequest& request, const CallOptions& call = {});
  absl::StatusOr<v1::ListModelsResponse> ListModels(
      const CallOptions& call = {});
  absl::StatusOr<v1::GetServerInfoResponse> GetServerInfo(
      const CallOptions& call = {});
  // CoordinatorAdminService: for callers with the scope "admin".
  absl::StatusOr<v1::GetStatusResponse> GetStatus(const CallOptions& call = {});
  absl::StatusOr<v1::ListSessionsResponse> ListSessions(
      const v1::ListSessionsRequest& request, const CallOptions& call = {});
  absl::StatusOr<v1::ShowSessionResponse> ShowSession(
      const v1::ShowSessionRequest& request, const CallOptions& call = {});
  absl::StatusOr<v1::DeleteSessionResponse> DeleteSession(
      const v1::DeleteSessionRequest& request, const CallOptions& call = {});
  // Whether the service answers within `timeout` that it serves `name`, such as
  // "tandem.ready".
  bool IsHealthy(absl::string_view name, absl::Duration timeout);

 private:
  struct Connection;

  Client(ClientOptions options, std::unique_ptr<Connection> connection);

  // The key of a call. INVALID_ARGUMENT where it may not go to the service.
  absl::StatusOr<std::string> KeyOf(const CallOptions& call) const;
  TurnSetup SetupOf(const std::string& key, const CallOptions& call) const;
  template <typename Stub, typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                        Response*);
  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> CallUnary(Method<Stub, Request, Response> method,
                                     Stub* stub, const Request& request,
                                     const CallOptions& call) const;
  // The same of one that may take call.timeout.
  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> CallForLong(Method<Stub, Request, Response> method,
                                       Stub* stub, const Request& request,
                                       const CallOptions& call) const;

  const ClientOptions options_;
  const std::unique_ptr<Connection> connection_;
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_CLIENT_H_
