# Debian packages only; tools/packages.txt lists them.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(absl REQUIRED)
# Module mode: protobuf 3.21 of Debian has no config package.
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
# Headers alone: Asio and Beast, for the gateway's HTTP.
find_package(Boost 1.74 REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
# The registry and its text form. cpp-httplib is for clients.
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
# Line editing of tandem chat.
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
# Where a coordinator's sessions outlive it; of libxxhash the header alone.
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(XXHASH REQUIRED libxxhash)

# oneDNN's config package asks for OpenCL, which nothing here needs.
find_path(DNNL_INCLUDE_DIR NAMES dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY NAMES dnnl REQUIRED)
# omp_set_num_threads: oneDNN's own runtime, limited to one thread per caller.
find_library(GOMP_LIBRARY NAMES gomp libgomp.so.1 REQUIRED
             HINTS /usr/lib/gcc/x86_64-linux-gnu/12)
