// The transport settings that both ends of every tandem connection share:
// keepalive, so that a dead peer is noticed in 15 s and not in 15 minutes, and
// limits of messages and metadata.

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
// A lost peer is tried again after 100 ms, then ever later up to this.
inline constexpr int kReconnectBackoffMaxMs = 2 * 1000;

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
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// The server's side, and the health service. A port that is taken is an error
// (no SO_REUSEPORT). Before the builder's BuildAndStart, on one thread at a
// time in the process.
void ConfigureServer(grpc::ServerBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_CHANNEL_H_
