// The transport settings that both ends of every tandem connection share:
// keepalive, so that a dead peer is noticed in 15 s and not in 15 minutes,
// limits of messages and metadata, the time for connecting, and what libraries
// would add by themselves (proxies, reflection).

#ifndef TANDEM_SERVICES_COMMON_CHANNEL_H_
#define TANDEM_SERVICES_COMMON_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

namespace tandem {

inline constexpr int kKeepaliveTimeMs = 10 * 1000;
inline constexpr int kKeepaliveTimeoutMs = 5 * 1000;
// A server closes a connection that pings more often (too_many_pings); half of
// kKeepaliveTimeMs, so that jitter does no harm.
inline constexpr int kPingIntervalMinMs = 5 * 1000;
// One message to a server. 4 MiB is a prompt of a million tokens.
inline constexpr int kRequestBytesMax = 4 << 20;
// One message to a client: Tokenize answers 4 MiB of text with up to 3 bytes a
// token.
inline constexpr int kResponseBytesMax = 16 << 20;
inline constexpr int kMetadataBytesMax = 16 << 10;
// Calls at once on one connection.
inline constexpr int kStreamsMax = 4096;
// A lost peer is tried again after the first of these, then ever later up to
// the second.
inline constexpr int kReconnectBackoffMinMs = 100;
inline constexpr int kReconnectBackoffMaxMs = 2 * 1000;
// The metadata that carries an API key, "Bearer KEY".
inline constexpr char kAuthorizationKey[] = "authorization";
inline constexpr char kBearerPrefix[] = "Bearer ";
// What one try may take, for both ends: TCP, TLS and HTTP/2 are four round
// trips, 1.2 s on a link of 300 ms, and a lost first packet costs a second
// more; a busy node needs time for the signatures.
inline constexpr int kConnectTimeoutMs = 5 * 1000;

// Whether a channel goes through the proxy of the environment (https_proxy,
// http_proxy, no_proxy).
enum class HttpProxy { kNever, kFromEnvironment };
// Whether a server answers reflection.
enum class Reflection { kOff, kOn };

struct ChannelOptions {
  HttpProxy proxy = HttpProxy::kNever;
  // Sent with each call as "authorization: Bearer KEY"; empty: none. Only where
  // nobody can read along: the caller sees to it.
  std::string bearer_key = {};
};

struct NamedAddress {
  std::string address;
  std::string server_name = {};  // empty: the address's own

  friend bool operator==(const NamedAddress&, const NamedAddress&) = default;
};

// A channel with connections of its own, not shared with other channels to the
// same address. Not to be destroyed inside a callback of its calls.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);
// The same to one of the addresses of a name: with TLS, the server's
// certificate must be for `server_name`.
std::shared_ptr<grpc::Channel> MakeChannel(
    const NamedAddress& server,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options = {});

// The server's side, and the health service. A connection has kConnectTimeoutMs
// for TLS and its first HTTP/2 frame. Compressed messages are refused with
// UNIMPLEMENTED, before they are inflated. Before the builder's BuildAndStart,
// on one thread at a time in the process.
void ConfigureServer(grpc::ServerBuilder* builder,
                     Reflection reflection = Reflection::kOff);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_CHANNEL_H_
