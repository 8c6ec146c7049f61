#include "services/coordinator/workers/address_book.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/address.h"

namespace tandem {

absl::StatusOr<AddressBook> AddressBook::Parse(
    absl::Span<const std::string> items) {
  if (items.size() > kWorkersMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a pool has at most ", kWorkersMax, " addresses, not ", items.size()));
  }
  AddressBook book;
  for (const std::string& item : items) {
    TANDEM_RETURN_IF_ERROR(CheckPeerAddress(item));
    TANDEM_ASSIGN_OR_RETURN(const std::optional<HostPort> name,
                            ParseDnsName(item));
    if (name.has_value()) {
      book.names_.push_back(*name);
    } else {
      book.listed_.push_back({.address = item});
    }
  }
  book.resolved_.resize(book.names_.size());
  return book;
}

std::optional<std::string> AddressBook::OnResolved(
    size_t index, const absl::StatusOr<std::vector<std::string>>& addresses) {
  Resolved& resolved = resolved_.at(index);
  const std::string& host = names_[index].host;
  if (addresses.ok() && !addresses->empty()) {
    resolved.addresses = *addresses;
    std::sort(resolved.addresses.begin(), resolved.addresses.end());
    if (!std::exchange(resolved.failing, false)) return std::nullopt;
    return absl::StrCat(host, " resolves again");
  }
  if (std::exchange(resolved.failing, true)) return std::nullopt;
  return absl::StrCat(
      host, addresses.ok() ? " has no address" : " does not resolve",
      addresses.ok() ? "" : absl::StrCat(": ", addresses.status().message()),
      "; its last ", resolved.addresses.size(), " addresses are kept");
}

std::vector<NamedAddress> AddressBook::Addresses() const {
  std::vector<NamedAddress> all = listed_;
  for (size_t i = 0; i < names_.size(); ++i) {
    for (const std::string& address : resolved_[i].addresses) {
      all.push_back({.address = address, .server_name = names_[i].host});
    }
  }
  std::set<std::string> seen;
  std::erase_if(all, [&seen](const NamedAddress& it) {
    return !seen.insert(it.address).second;
  });
  if (all.size() > kWorkersMax) all.resize(kWorkersMax);
  return all;
}

}  // namespace tandem
