#include "services/common/listen/live_connections.h"

#include <sys/stat.h>

#include <iterator>
#include <optional>

namespace tandem {
namespace {

// Of the socket that `descriptor` is; nothing where it is none.
std::optional<ino_t> InodeOf(int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    return std::nullopt;
  }
  return info.st_ino;
}

}  // namespace

LiveConnections::Verdict LiveConnections::Admit(int socket,
                                                const std::string& peer,
                                                absl::Time now) {
  // The number was given again, so what had it is gone.
  const auto before = connections_.find(socket);
  if (before != connections_.end()) Forget(before);
  Verdict verdict = Judge(peer);
  if (verdict != Verdict::kAdmitted && now - counted_ >= kCountInterval) {
    counted_ = now;
    Count();
    verdict = Judge(peer);
  }
  if (verdict != Verdict::kAdmitted) return verdict;
  connections_[socket] = {.inode = InodeOf(socket).value_or(0), .peer = peer};
  if (!peer.empty()) ++of_peer_[peer];
  return verdict;
}

LiveConnections::Verdict LiveConnections::Judge(const std::string& peer) const {
  if (size() >= limits_.all) return Verdict::kTooMany;
  const auto found = of_peer_.find(peer);
  if (found != of_peer_.end() && found->second >= limits_.of_peer) {
    return Verdict::kTooManyOfPeer;
  }
  return Verdict::kAdmitted;
}

LiveConnections::Connections::iterator LiveConnections::Forget(
    Connections::iterator connection) {
  const auto peer = of_peer_.find(connection->second.peer);
  if (peer != of_peer_.end() && --peer->second == 0) of_peer_.erase(peer);
  return connections_.erase(connection);
}

void LiveConnections::Count() {
  for (auto it = connections_.begin(); it != connections_.end();) {
    it = InodeOf(it->first) == it->second.inode ? std::next(it) : Forget(it);
  }
}

}  // namespace tandem
