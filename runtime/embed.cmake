# Writes a C file with files inside, joined and deflated: `const attn_embedded NAME` (runtime/base/embedded.h).
# cmake -DOUT=FILE -DFILES=a;b -DNAME=... -P embed.cmake
set(table "")
set(bytes 0)
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(SIZE ${file} length)
  string(APPEND table "    {\"${name}\", ${bytes}, ${length}},\n")
  math(EXPR bytes "${bytes} + ${length}")
endforeach()
execute_process(COMMAND ${CMAKE_COMMAND} -E cat ${FILES} OUTPUT_FILE ${OUT}.joined COMMAND_ERROR_IS_FATAL ANY)
file(ARCHIVE_CREATE OUTPUT ${OUT}.gz PATHS ${OUT}.joined FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9
     MTIME 0)
# Ten bytes of head, with the time among them, are left out: the same files give the same bytes.
file(READ ${OUT}.gz head LIMIT 4 HEX)
if(NOT head STREQUAL "1f8b0800")
  message(FATAL_ERROR "${OUT}.gz begins with ${head}, expected 1f8b0800")
endif()
file(READ ${OUT}.gz hex OFFSET 10 HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," packed "${hex}")
file(WRITE ${OUT} "#include \"runtime/base/embedded.h\"

static const unsigned char packed[] = {${packed}};
static const attn_embedded_file files[] = {
${table}    {0, 0, 0},
};
const attn_embedded ${NAME} = {packed, sizeof packed, ${bytes}, files};
")
file(REMOVE ${OUT}.joined ${OUT}.gz)
