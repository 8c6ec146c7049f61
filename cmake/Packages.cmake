# The packages, made by `tools/setup packages` in build/release/packages:
# - tandem_VERSION_amd64.deb: the programs, for Debian 12
# - tandem-dev_VERSION_amd64.deb: the client library, apart, since it needs the
#   headers of gRPC and protobuf, which no server has
# - tandem-VERSION-linux-x86_64.tar.gz: the programs with every library but the
#   C library's, for other distributions; without the client library, which is
#   for the compiler and the libraries of Debian 12

# Whom a .deb names as its maintainer: the variables of Debian's own tools. Who
# publishes packages sets them; localhost is nobody's address.
set(maintainer "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
if(maintainer STREQUAL " <>")
  set(maintainer "tandem <tandem@localhost>")
endif()

# Headers that the programs hold code of, whose licenses are to come along.
# Boost's asks for that in source code alone.
set(header_packages libcli11-dev nlohmann-json3-dev)

# Only in the .deb, by Debian's rules.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(cmake/package/changelog.in ${CMAKE_BINARY_DIR}/changelog)
file(ARCHIVE_CREATE OUTPUT ${CMAKE_BINARY_DIR}/changelog.gz
     PATHS ${CMAKE_BINARY_DIR}/changelog
     FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)
foreach(name tandem tandem-dev)
  string(REPLACE tandem debian component ${name})
  install(FILES ${CMAKE_BINARY_DIR}/changelog.gz cmake/package/copyright
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
foreach(header_package ${header_packages})
  install(FILES /usr/share/doc/${header_package}/copyright
          RENAME ${header_package} DESTINATION ${documents}/licenses
          COMPONENT debian EXCLUDE_FROM_ALL)
endforeach()
install(FILES ${completion_folder}/tandem.zsh RENAME _tandem
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
        COMPONENT debian EXCLUDE_FROM_ALL)

# Only in the .tar.gz: libraries, without those that are the C library and have
# to fit the system's loader, and their licenses.
install(RUNTIME_DEPENDENCY_SET program-libraries
        PRE_EXCLUDE_REGEXES
        "^(ld-linux-x86-64|lib(c|m|mvec|dl|pthread|rt|resolv|util))\\.so"
        LIBRARY DESTINATION ${bundled_libraries}
        COMPONENT portable EXCLUDE_FROM_ALL
        FRAMEWORK DESTINATION ${bundled_libraries}
        COMPONENT portable EXCLUDE_FROM_ALL)
install(CODE "set(header_packages ${header_packages})
set(libraries ${bundled_libraries})
set(documents ${documents})
set(architecture ${CMAKE_LIBRARY_ARCHITECTURE})
include(${CMAKE_SOURCE_DIR}/cmake/InstallLicenses.cmake)"
        COMPONENT portable EXCLUDE_FROM_ALL)

# All that packages hold is built by this target; CPack's own one, package,
# builds the tests too.
add_custom_target(packages
  COMMAND ${CMAKE_CPACK_COMMAND} --config ${CMAKE_BINARY_DIR}/CPackConfig.cmake
  DEPENDS ${programs} tandem_client printed-files
  USES_TERMINAL VERBATIM)

set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_VENDOR tandem)
set(CPACK_PACKAGE_CONTACT "${maintainer}")
set(CPACK_OUTPUT_FILE_PREFIX packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
# The components of each kind of package.
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/cmake/package/components.cmake)

set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_PACKAGE_FILE_NAME tandem-${PROJECT_VERSION}-linux-x86_64)
set(CPACK_ARCHIVE_FILE_NAME ${CPACK_PACKAGE_FILE_NAME})

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_SERVER_PACKAGE_NAME tandem)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_SERVER_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_SERVER_DESCRIPTION
"text generation with large language models on CPUs
Serves models in GGUF files with speculative decoding across processes: a
draft worker proposes tokens, a target worker verifies them, a coordinator
holds the sessions and streams the text by gRPC, and a gateway has the HTTP
API that OpenAI's clients speak, and a page. One command starts all four,
another runs a model without a server.")
set(CPACK_DEBIAN_DEV_PACKAGE_NAME tandem-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_DESCRIPTION
"client library of tandem, for programs in C++
Headers, static libraries and a CMake package config for programs that use a
tandem service: turns as an iterator of events, which goes on after a lost
connection.")
# What the package config looks for.
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS
    "libgrpc++-dev, protobuf-compiler-grpc, libabsl-dev, libprotobuf-dev, libssl-dev, libspdlog-dev, libutf8proc-dev, pkg-config")

include(CPack)
cpack_add_component(programs GROUP server)
cpack_add_component(debian GROUP server)
cpack_add_component(client GROUP dev)
cpack_add_component(debian-dev GROUP dev)
