// The version of tandem, as every binary and RPC reports it.

#ifndef TANDEM_SERVICES_COMMON_VERSION_H_
#define TANDEM_SERVICES_COMMON_VERSION_H_

namespace tandem {

inline constexpr char kTandemVersion[] = "0.1.0";

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_VERSION_H_
