# What `cmake --install` puts where. Component `client`: the client library, with
# the headers that its public ones include and a package config.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(headers ${CMAKE_INSTALL_INCLUDEDIR}/tandem)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tandem-client)

install(TARGETS tandem_client tandem_transport tandem_proto tandem_messages
                tandem_base
        EXPORT tandem-client-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client
        INCLUDES DESTINATION ${headers})
install(EXPORT tandem-client-targets NAMESPACE tandem::
        DESTINATION ${package} COMPONENT client)

# Headers include each other by their paths in the repository.
foreach(header services/client/client.h services/client/turn_stream.h
               services/common/credentials.h engine/base/status.h
               engine/base/error_reason.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_SOURCE_DIR}/${header} DESTINATION ${headers}/${folder}
          COMPONENT client)
endforeach()
foreach(proto types generation coordinator_admin)
  install(FILES ${CMAKE_BINARY_DIR}/proto/generated/tandem/v1/${proto}.pb.h
          DESTINATION ${headers}/tandem/v1 COMPONENT client)
endforeach()

configure_package_config_file(
  cmake/tandem-client-config.cmake.in
  ${CMAKE_BINARY_DIR}/tandem-client-config.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/tandem-client-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tandem-client-config.cmake
              ${CMAKE_BINARY_DIR}/tandem-client-config-version.cmake
        DESTINATION ${package} COMPONENT client)
