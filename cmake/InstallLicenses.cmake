# Run while the .tar.gz is made: for the libraries in the folder ${libraries} and
# for the ${header_packages} it installs the licenses, which Debian's packages of
# ${architecture} have, and a list of the libraries' packages.

set(root "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(folder "${root}/${documents}/licenses")

# The lines of dpkg-query's answer.
function(ask_dpkg out)
  execute_process(COMMAND dpkg-query ${ARGN} OUTPUT_VARIABLE answer
                  ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REPLACE "\n" ";" answer "${answer}")
  set(${out} "${answer}" PARENT_SCOPE)
endfunction()

# A package names one of the two folders, which are one; whole names, since
# patterns take dpkg-query 15 s.
file(GLOB files RELATIVE "${root}/${libraries}" "${root}/${libraries}/*")
list(TRANSFORM files PREPEND "/lib/${architecture}/" OUTPUT_VARIABLE in_lib)
list(TRANSFORM files PREPEND "/usr/lib/${architecture}/" OUTPUT_VARIABLE in_usr)
# PACKAGE:ARCHITECTURE: PATH
ask_dpkg(owners --search ${in_lib} ${in_usr})
list(LENGTH files file_count)
list(LENGTH owners owner_count)
if(NOT owner_count EQUAL file_count)
  message(FATAL_ERROR "${libraries}: ${file_count} files, and Debian's packages "
                      "have ${owner_count} of them: ${files}")
endif()
list(TRANSFORM owners REPLACE ":.*" "" OUTPUT_VARIABLE packages)
list(REMOVE_DUPLICATES packages)
ask_dpkg(origins --show "--showformat=\${Package} \${Version}, source \
\${source:Package} \${source:Version}\n" ${packages})
list(JOIN origins "\n" origins)
file(WRITE "${folder}/libraries.txt"
"The libraries in ${libraries} are those of Debian 12, unchanged, of the packages
below. `apt-get source SOURCE=VERSION` on a Debian system gives the source, and
https://snapshot.debian.org has it. Licenses are beside this file.

${origins}
")

foreach(package ${packages} ${header_packages})
  set(text_file /usr/share/doc/${package}/copyright)
  file(INSTALL ${text_file} DESTINATION "${folder}" RENAME ${package})
  # Some only name a license that every Debian system has.
  file(READ ${text_file} text)
  string(REGEX MATCHALL "/usr/share/common-licenses/[A-Za-z]+(-[0-9.]*[0-9])?"
         common "${text}")
  list(REMOVE_DUPLICATES common)
  foreach(license ${common})
    if(EXISTS ${license})
      file(REAL_PATH ${license} license)
      file(INSTALL ${license} DESTINATION "${folder}/common-licenses")
    endif()
  endforeach()
endforeach()
