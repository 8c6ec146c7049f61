# What `cmake --install` puts where, by component:
# - programs: the four programs, man pages, shell completions, documents
# - site: what distributions other than Debian read (zsh's completion)
# - client: the client library, with the headers that its public ones include
#   and a package config
# - debian, portable: what only the .deb and only the .tar.gz have
#   (Packages.cmake); a plain install leaves them out

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(programs tandem tandem-worker tandem-coordinator tandem-gateway)
set(documents ${CMAKE_INSTALL_DOCDIR})

# Where the .tar.gz has its libraries, a folder of its own: /usr/local/lib would
# give them to other programs too. By DT_RPATH, which counts for what a library
# needs as well; DT_RUNPATH is for the program's own needs alone. The same in the
# build folder, since CMake's padding for a later change is a list of empty
# names, which stand for the working directory.
set(bundled_libraries ${CMAKE_INSTALL_LIBDIR}/tandem)
set_target_properties(${programs} PROPERTIES BUILD_WITH_INSTALL_RPATH ON
  INSTALL_RPATH "$ORIGIN/../${bundled_libraries}")
foreach(program ${programs})
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
endforeach()

install(TARGETS ${programs} RUNTIME_DEPENDENCY_SET program-libraries
        RUNTIME COMPONENT programs)
install(FILES LICENSE README.md CHANGELOG.md SECURITY.md
        DESTINATION ${documents} COMPONENT programs)

# Man pages and completions, which the programs print.
set(man_folder ${CMAKE_BINARY_DIR}/man)
set(completion_folder ${CMAKE_BINARY_DIR}/completions)
file(MAKE_DIRECTORY ${man_folder} ${completion_folder})
foreach(program ${programs})
  set(page ${man_folder}/${program}.1)
  add_custom_command(OUTPUT ${page} ${page}.gz
                     COMMAND ${program} --man > ${page}
                     COMMAND gzip -9nkf ${page}
                     DEPENDS ${program} VERBATIM)
  list(APPEND printed ${page}.gz)
  install(FILES ${page}.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
          COMPONENT programs)
endforeach()
foreach(shell bash zsh fish)
  set(completion ${completion_folder}/tandem.${shell})
  add_custom_command(OUTPUT ${completion}
                     COMMAND tandem completion ${shell} > ${completion}
                     DEPENDS tandem VERBATIM)
  list(APPEND printed ${completion})
endforeach()
add_custom_target(printed-files ALL DEPENDS ${printed})
install(FILES ${completion_folder}/tandem.bash RENAME tandem
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        COMPONENT programs)
install(FILES ${completion_folder}/tandem.fish
        DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
        COMPONENT programs)
install(FILES ${completion_folder}/tandem.zsh RENAME _tandem
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT site)

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
foreach(header services/client/client.h services/client/joined_reply.h
               services/client/turn_stream.h services/common/credentials.h
               engine/base/status.h engine/base/error_reason.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_SOURCE_DIR}/${header} DESTINATION ${headers}/${folder}
          COMPONENT client)
endforeach()
foreach(proto types chat generation coordinator_admin)
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
