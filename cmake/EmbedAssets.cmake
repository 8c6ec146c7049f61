# cmake -DOUT=FILE.cc -DASSETS="A;B" -P EmbedAssets.cmake: writes a source with
# the texts of the files, which services/gateway/server/asset.h declares.

# A string literal of C++ holds 64 KiB for certain; files are cut into less.
set(piece_length 16000)

function(append_literal out text)
  string(LENGTH "${text}" length)
  set(at 0)
  set(literal "")
  while(at LESS length)
    string(SUBSTRING "${text}" ${at} ${piece_length} piece)
    string(APPEND literal "R\"~~(${piece})~~\"\n")
    math(EXPR at "${at} + ${piece_length}")
  endwhile()
  if(literal STREQUAL "")
    set(literal "\"\"")
  endif()
  set(${out} "${literal}" PARENT_SCOPE)
endfunction()

set(entries "")
foreach(path ${ASSETS})
  get_filename_component(name "${path}" NAME)
  file(SHA256 "${path}" sha256)
  file(READ "${path}" text)
  append_literal(literal "${text}")
  string(APPEND entries "    {\"${name}\",\n     \"${sha256}\",\n${literal}},\n")
endforeach()

file(WRITE "${OUT}" "#include <iterator>

#include \"services/gateway/server/asset.h\"

namespace tandem::gateway {
namespace {

constexpr Asset kAssets[] = {
${entries}    // So that the list is never empty.
    {\"\", \"\", \"\"}};

}  // namespace

absl::Span<const Asset> PageAssets() {
  return absl::MakeSpan(kAssets).first(std::size(kAssets) - 1);
}

}  // namespace tandem::gateway
")
