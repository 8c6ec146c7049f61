// Guards a gRPC server where there is a key file: what no service of ours asks
// for itself. A call of a method that stands in no table is denied, so a new
// method is denied until somebody decides who may call it; so are reflection
// without its scope, and health of other names than those of probes without a
// key. Such a call ends with its status and message, but without details: gRPC
// ends it below the service, whose handler finds it cancelled; a Watch of
// gRPC's health service may end with CANCELLED instead.
//
// The services' own methods are left alone: they ask CallerGate::Admit, and no
// interceptor runs for them, so their messages cost nothing more.

#ifndef TANDEM_SERVICES_ACCESS_CALL_INTERCEPTOR_H_
#define TANDEM_SERVICES_ACCESS_CALL_INTERCEPTOR_H_

#include <grpcpp/server_builder.h>

#include "services/access/caller.h"

namespace tandem {

// Before the builder's BuildAndStart. Does nothing without a key file. `gate`
// outlives the server.
void GuardCalls(const CallerGate* gate, grpc::ServerBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_CALL_INTERCEPTOR_H_
